"""What single steps cost in this process: decoding, letting go, the hot path at full load beside the HA stack.

Out: microseconds. The rule of this file: the best of several interleaved rounds, because whatever else the machine does
can only make a step slower; and each answer is looked at before its time counts.
"""

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from mix import Air, Mix, Sensor, air, sensors, strangers
from sender import made

from proxy_listener.engine.devices import Devices
from proxy_listener.engine.listener import Listener
from proxy_listener.formats import RARE, find_company, find_ours
from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.xiaomi.mibeacon import open_frame, parse_frame
from proxy_listener.formats.xiaomi.objects import read_objects
from proxy_listener.model.advertisement import ForeignFilter, mac_text, payloads
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.node.messages import api
from proxy_listener.proxies.receive import Receiver
from proxy_listener.proxies.timing import ProxyTiming

FRAMES = 2_000
WALL = 1.7e9


class Nothing:
    """A history that remembers nothing and takes everything."""

    def known(self, mac: int, identity: bytes) -> bool:
        del mac, identity
        return False

    def highest(self, mac: int, key_id: bytes) -> int:
        del mac, key_id
        return -1

    def newest(self, mac: int) -> tuple[()]:
        del mac
        return ()

    def latest(self, mac: int) -> dict[str, Any]:
        del mac
        return {}

    def model(self, mac: int) -> Model | None:
        del mac
        return None

    def admitted(self, mac: int) -> float | None:
        del mac
        return False

    def admit(self, mac: int, time: float) -> None:
        del mac, time

    def keep(self, mac: int, time: float, proxy: str, rssi: int, address_type: int, uuid: int, payload: bytes) -> None:
        del mac, time, proxy, rssi, address_type, uuid, payload


def listener(house: list[Sensor], readings: list[Reading]) -> Listener:
    """The hot path with these devices listed."""
    devices = Devices(Nothing(), room=lambda proxy: proxy, notify=lambda notice: None, started=0.0, started_time=WALL)
    entries = [DeviceSettings(one.mac, bindkey=(Secret(one.key.hex()),) if one.key else ()) for one in house]
    devices.configure(entries, "emit")
    return Listener(devices, readings.append)


@attrs.frozen
class Step:
    """``once`` does it all ``count`` times; what ``look`` finds in what it returns must be ``wanted``."""

    name: str
    count: int
    make: Callable[[], Callable[[], Any]]
    wanted: Any
    look: Callable[[Any], Any] = lambda answer: answer


def best(steps: list[Step], rounds: int) -> dict[str, float]:
    """Microseconds of CPU for each."""
    found: dict[str, float] = {}
    for _ in range(rounds):
        for step in steps:
            once = step.make()
            gc.collect()
            gc.disable()  # as timeit does: what is kept here for the look would be walked over and over
            began = time.process_time()
            answer = once()
            spent = (time.process_time() - began) / step.count * 1e6
            gc.enable()
            answer = step.look(answer)
            if answer != step.wanted:
                raise AssertionError(f"{step.name}: {answer!r}, expected {step.wanted!r}")
            found[step.name] = min(spent, found.get(step.name, spent))
    return found


def _decoding(sensor: Sensor) -> Step:
    """Service data -> values, of ``FRAMES`` frames of one sensor."""
    sent = [next(iter(payloads(sensor.frame(n)[0])))[1] for n in range(FRAMES)]
    wanted = sum(sensor.frame(n)[2] for n in range(FRAMES))
    key = Bindkey(Secret(sensor.key.hex())) if sensor.key else None
    mac = sensor.mac

    def encrypted() -> list[Any]:
        decoded = []
        for payload in sent:
            frame = parse_frame(payload, mac)
            body = open_frame(frame, payload, mac, key)
            values, _, _ = read_objects(body, frame.model, True)
            decoded.append(values)
        return decoded

    def plain() -> list[Any]:
        decoded = []
        for payload in sent:
            frame = parse_frame(payload, mac)
            values, _, _ = read_objects(frame.body, frame.model, False)
            decoded.append(values)
        return decoded

    def look(answer: list[Any]) -> float:
        return sum(values["temperature"] for values in answer)

    return Step("encrypted frame" if key else "plain frame", FRAMES, lambda: encrypted if key else plain, wanted, look)


def _decoding_oracle(sensor: Sensor) -> Step:
    """The same by xiaomi-ble, from what habluetooth hands to it."""
    from home_assistant_bluetooth import BluetoothServiceInfo
    from xiaomi_ble import XiaomiBluetoothDeviceData

    uuid = "0000fe95-0000-1000-8000-00805f9b34fb"
    infos = []
    for n in range(FRAMES):
        payload = next(iter(payloads(sensor.frame(n)[0])))[1]
        infos.append(BluetoothServiceInfo("x", mac_text(sensor.mac), -60, {}, {uuid: payload}, [], "p"))
    wanted = sum(sensor.frame(n)[2] for n in range(FRAMES))

    def make() -> Callable[[], list[Any]]:
        parser = XiaomiBluetoothDeviceData(bindkey=sensor.key)

        # Each update holds the same dict, which the next one changes.
        return lambda: [list(parser.update(info).entity_values.values()) for info in infos]

    def look(answer: list[Any]) -> float:
        return sum(value.native_value for values in answer for value in values if value.name == "Temperature")

    name = "encrypted frame" if sensor.key else "plain frame"
    return Step(f"{name}, xiaomi-ble", FRAMES, make, wanted, look)


def _foreign() -> Step:
    phones = strangers(FRAMES, 1)

    def make() -> Callable[[], int]:
        hot = listener(sensors(100), [])

        def once() -> int:
            hear = hot.hear
            for address, data in phones:
                hear("p", address, 1, -70, data, WALL, 1.0)
            return hot.outcomes[Outcome.NOT_OURS]

        return once

    return Step("foreign advertisement", FRAMES, make, FRAMES)


def _repeat() -> Step:
    """Copies of fresh frames through five rooms."""
    house = sensors(100)
    frames = [(sensor.mac, sensor.frame(0)[0]) for sensor in house]
    rooms = [f"p{n}" for n in range(5)]
    copies = [(room, mac, data) for _ in range(FRAMES // 500) for mac, data in frames for room in rooms]

    def make() -> Callable[[], int]:
        hot = listener(house, [])
        for mac, data in frames:
            hot.hear("p0", mac, 0, -60, data, WALL, 1.0)
        for room, mac, data in copies[:500]:
            hot.hear(room, mac, 0, -60, data, WALL, 1.1)
        before = hot.outcomes[Outcome.REPEAT]

        def once() -> int:
            hear = hot.hear
            for room, mac, data in copies:
                hear(room, mac, 0, -60, data, WALL, 1.2)
            return hot.outcomes[Outcome.REPEAT] - before

        return once

    return Step("repeat", len(copies), make, len(copies))


def micro(rounds: int, *, oracle: bool) -> dict[str, float]:
    """The single steps."""
    house = sensors(3)
    steps = [_decoding(house[0]), _decoding(house[2]), _foreign(), _repeat()]
    if oracle:
        steps += [_decoding_oracle(house[0]), _decoding_oracle(house[2])]
    return best(steps, rounds)


def _parsed(content: Air) -> Iterator[tuple[float, int, Any]]:
    """The messages as the library hands them over: parsed from bytes, so that nothing of them is cached."""
    for message in content.messages:
        raw = made(message).SerializeToString()  # type: ignore[attr-defined]
        yield message.time, message.proxy, api.BluetoothLERawAdvertisementsResponse.FromString(raw)


def _ours_saturated(mix: Mix, content: Air) -> Step:
    def make() -> Callable[[], Any]:
        readings: list[Reading] = []
        hot = listener(sensors(mix.devices), readings)
        now = [0.0]
        foreign, timing = ForeignFilter(find_ours, RARE, find_company, hot.count_foreign), ProxyTiming()
        proxies = [Receiver(f"p{n}", hot.hear, timing, lambda: now[0], foreign) for n in range(mix.proxies)]
        messages = [(due, proxies[proxy].raw, message) for due, proxy, message in _parsed(content)]

        def once() -> Any:
            for due, raw, message in messages:
                now[0] = due
                raw(message)
            return sum(hot.outcomes), {(reading.mac, reading.counter) for reading in readings}, len(readings)

        return once

    wanted = content.advertisements, {(frame.mac, frame.counter) for frame in content.frames}, len(content.frames)
    return Step("saturated", content.advertisements, make, wanted)


def _stack_saturated(mix: Mix, content: Air) -> Step:
    from bleak_esphome.backend.scanner import ESPHomeScanner
    from habluetooth import HaBluetoothConnector, set_manager
    from stack import Manager

    keys = {mac_text(one.mac): one.key for one in sensors(mix.devices)}
    wanted = {(mac_text(frame.mac), frame.celsius) for frame in content.frames}

    def make() -> Callable[[], Any]:
        manager = Manager(keys)
        set_manager(manager)
        scanners = []
        for n in range(mix.proxies):
            source = mac_text(0x02B0C2000000 + n)
            scanner = ESPHomeScanner(source, f"p{n}", HaBluetoothConnector(None, source, lambda: False), True)
            manager.async_register_scanner(scanner)
            scanners.append(scanner)
        messages = [(scanners[proxy].async_on_raw_advertisements, message) for _, proxy, message in _parsed(content)]

        def once() -> Any:
            for raw, message in messages:
                raw(message)
            seen = {(mac, value) for mac, values in manager.seen.items() for value in values}
            return len(wanted & seen) >= 0.99 * len(wanted)

        return once

    return Step("saturated, HA stack", content.advertisements, make, wanted=True)


def saturated(mix: Mix, rounds: int, *, oracle: bool) -> dict[str, float]:
    """From a parsed message to a reading, as fast as it goes; microseconds an advertisement."""
    content = air(mix)
    steps = [_ours_saturated(mix, content)]
    if oracle:
        steps.append(_stack_saturated(mix, content))
    return best(steps, rounds)
