"""A listener over a history that is a set, and an air to speak into: what tests of the hot path share."""

from collections import defaultdict

from proxy_listener.engine.dedup import counter_of
from proxy_listener.engine.devices import Devices, Notice
from proxy_listener.engine.listener import Listener
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.history import KnownFrame
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading, Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import DeviceStatus
from proxy_listener.simulator import frames

MAC = 0xA4C1380283F4


class SetMemory:
    """What a history remembers, without a history."""

    def __init__(self) -> None:
        self.rows: dict[int, list[KnownFrame]] = defaultdict(list)
        self.identities: set[tuple[int, bytes]] = set()
        self.sealed: list[bytes] = []
        self.values: dict[int, dict[str, tuple[Value, float]]] = defaultdict(dict)
        self.unlisted: dict[int, float] = {}
        self.models: dict[int, int] = {}
        self.asked = 0

    def known(self, mac, identity):
        self.asked += 1
        return (mac, identity) in self.identities

    def highest(self, mac, key_id):
        mine = [identity for whose, identity in self.identities if whose == mac and identity.startswith(key_id)]
        return max(map(counter_of, mine), default=-1)

    def newest(self, mac):
        return self.rows[mac][-64:]

    def latest(self, mac):
        return self.values[mac]

    def model(self, mac):
        return model_of(self.models[mac]) if mac in self.models else None

    def admitted(self, mac):
        return self.unlisted.get(mac)

    def admit(self, mac, time):
        self.unlisted.setdefault(mac, time)

    def keep(self, mac, time, proxy, rssi, address_type, uuid, payload):
        new = payload not in self.sealed
        self.sealed.append(payload)
        return new

    def append(self, reading: Reading) -> None:
        self.rows[reading.mac].append(KnownFrame(reading.identity, reading.trust, reading.time, reading.late))
        fresh = {name: (value, reading.time) for name, value in reading.values.items() if name not in reading.stale}
        self.values[reading.mac].update(fresh)
        if reading.trust == "authenticated":
            self.identities.add((reading.mac, reading.identity))


class Air:
    """A listener and a clock. ``say`` sends a frame through one proxy and returns what became of it.

    ``at_once``: unlisted devices are admitted by their first frame, as in a replay.
    """

    def __init__(
        self,
        *entries: DeviceSettings,
        memory: SetMemory | None = None,
        now: float = 1000.0,
        wall: float = 1_700_000_000.0,
        at_once: bool = True,
    ) -> None:
        self.memory = memory or SetMemory()
        self.readings: list[Reading] = []
        self.notices: list[Notice] = []
        self.wall = wall
        self.now = now
        self.devices = Devices(
            self.memory,
            room=str.title,
            notify=self.notices.append,
            started=now,
            started_time=self.wall + now,
            admissions=self.memory.unlisted.values(),
            at_once=at_once,
        )
        self.devices.configure(entries, "emit")
        self.listener = Listener(self.devices, self.emit)

    def emit(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.memory.append(reading)

    def say(self, payload: bytes, *, mac=MAC, proxy="kitchen", rssi=-60, uuid=0xFE95, after=0.0) -> Outcome:
        self.now += after
        data = frames.advertisement(payload, uuid)
        return self.listener.hear(proxy, mac, 0, rssi, data, self.wall + self.now, self.now)

    def status(self, mac=MAC) -> DeviceStatus:
        return next(status for status in self.devices.statuses(self.now) if status.mac == mac)

    def restarted(self, *entries: DeviceSettings, pause: float = 1.0) -> "Air":
        """The service restarted with the same history after a pause; its monotonic clock starts at 0."""
        return Air(*entries, memory=self.memory, now=0.0, wall=self.wall + self.now + pause)
