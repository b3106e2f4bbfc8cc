"""Beside bthome-ble: its tests' vectors, and random frames of every object. Every difference is a written decision.

``pip install '.[oracle]'``, then ``pytest -m oracle``.
"""

import json
import logging
import random
import struct
import warnings
from collections import Counter
from datetime import datetime
from pathlib import Path

import attrs
import pytest
from support.decoding import decode

from proxy_listener.model.advertisement import mac_text, parse_mac, payloads
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.quantities import split_number
from proxy_listener.simulator import frames

pytestmark = pytest.mark.oracle

MAC = 0xA4C1388D18B2
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
V2, V1, V1_ENCRYPTED = 0xFCD2, 0x181C, 0x181E
FRAMES = 10_000
POUND = 0.45359237

ABSENT = object()


@attrs.frozen
class Difference:
    """One quantity or event on which the two do not agree; ABSENT where one does not give it."""

    uuid: int
    body: bytes
    name: str
    ours: object
    theirs: object
    implausible: tuple[str, ...]

    @property
    def kind(self):
        """The name without a number."""
        return split_number(self.name)[0]


# What this project decides otherwise, each with when it may differ. Reasons:
# docs/protocol/bthome.md#differences-to-other-decoders.
DECIDED = {
    "out of range": lambda d: d.ours is ABSENT and d.kind in d.implausible,
    "Shelly's older code of a hold": lambda d: d.name.startswith("event button") and d.theirs is ABSENT,
    "commands of the maker": lambda d: d.name.startswith("event command") and d.theirs is ABSENT,
    "steps of 0.35 degrees": lambda d: d.kind == "temperature" and near(d, 0.051),
}

NAMES = {("battery", "flag"): "battery_low", ("volume", "mL"): "volume_ml", ("distance", "mm"): "distance_mm"}
"""Their key with its unit, or ``flag`` -> ours."""

ONE_NAME = ({0x0B, 0x5C, 0x10}, {0x4B, 0x4C, 0x1C}, {0x14, 0x2F, 0x20}, {0x06, 0x07}, {0x47, 0x4E, 0x48}, {0x40, 0x41})
"""Objects that have one key in bthome-ble and differ in unit or form: of a frame with several it keeps the last one,
while here each is numbered or has a name of its own. Such frames are tested in test_objects.py."""

LENGTH_SAYS = {0x53: b"text", 0x54: b"raw", 0x3B: b"command"}


def near(difference, within):
    numbers = (difference.ours, difference.theirs)
    return ABSENT not in numbers and abs(numbers[0] - numbers[1]) <= within


@pytest.fixture(name="theirs", scope="module")
def theirs_fixture():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bthome_ble = pytest.importorskip("bthome_ble", reason="the oracle extra")
        from bleak.backends.device import BLEDevice
        from bthome_ble.const import MEAS_TYPES
        from habluetooth import BluetoothServiceInfoBleak
    logging.getLogger("bthome_ble").setLevel(logging.CRITICAL)

    def ask(uuid, data, address, key):
        """Values and events under our names."""
        name = f"0000{uuid:04x}-0000-1000-8000-00805f9b34fb"
        info = BluetoothServiceInfoBleak(
            name="",
            address=mac_text(address),
            rssi=-60,
            manufacturer_data={},
            service_data={name: data},
            service_uuids=[name],
            source="",
            device=BLEDevice(mac_text(address), "", {}),
            advertisement=None,
            connectable=False,
            time=0,
            tx_power=None,
        )
        return ours_of(bthome_ble.BTHomeBluetoothDeviceData(bindkey=key).update(info))

    return ask, MEAS_TYPES


def ours_of(update):
    """What bthome-ble says, in our names and units."""
    said = {}
    for key, value in update.entity_values.items():
        unit = update.entity_descriptions[key].native_unit_of_measurement
        unit = getattr(unit, "value", unit)
        if key.key not in {"signal_strength", "packet_id"} and not key.key.startswith("packet_id_"):
            said[renamed(key.key, unit)] = converted(value.native_value, unit)
    for key, value in update.binary_entity_values.items():
        said[renamed(key.key, "flag")] = bool(value.native_value)
    for key, event in update.events.items():
        said[f"event {key.key}"] = (event.event_type, dict(event.event_properties or {}))
    version = update.devices[None].sw_version if update.devices else None
    if version is not None and not version.startswith("BTHome"):
        said["firmware"] = version
    return said


def renamed(key, unit):
    kind, _ = split_number(key)
    return NAMES.get((kind, unit), kind) + key.removeprefix(kind)


def converted(value, unit):
    if isinstance(value, datetime):
        return value.isoformat()
    return value * POUND if unit == "lb" else value


def ours(uuid, data, address, key):
    """The same of this project, and the names of what was outside its range."""
    try:
        found = decode(uuid, data, address, key.hex() if key else None)
    except DecodeError:
        return {}, ()
    if found is None:
        return {}, ()
    decoded = found[1]
    said = dict(decoded.values)
    for event in decoded.events:
        properties = dict(event.properties)
        if event.event.startswith("command"):
            properties.setdefault("args", "")
        said[f"event {event.event}"] = (event.type, properties)
    # Only an event says on which channel here.
    for name in [name for name in said if name.startswith("event ")]:
        said[name][1].pop("channel", None)
    return said, decoded.skipped.implausible


def differences(uuid, data, body, mine, theirs):
    said, implausible = mine
    for name in sorted({*said, *theirs}):
        found = Difference(uuid, body, name, said.get(name, ABSENT), theirs.get(name, ABSENT), implausible)
        if not agree(found) and not any(decided(found) for decided in DECIDED.values()):
            yield found


def agree(difference):
    numbers = (difference.ours, difference.theirs)
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        # Pounds have two digits there, kilograms here.
        return near(difference, 0.006 if difference.kind == "mass" else 1e-9)
    return difference.ours == difference.theirs and type(difference.ours) is type(difference.theirs)


class Made:
    """Random frames of the objects that bthome-ble knows."""

    def __init__(self, rng, known):
        self.rng = rng
        self.known = known
        self.used = Counter()

    def frame(self):
        """(UUID, service data, the device's address, key, objects)."""
        rng = self.rng
        ids = rng.choices(sorted(self.known), k=rng.choice((1, 1, 2, 3, 4, 6)))
        if rng.random() < 0.3:
            ids += [rng.choice(ids)] * rng.choice((1, 2))
        for names in ONE_NAME:
            kept = next((one for one in ids if one in names), None)
            same = {one for one in names if kept is not None and self.said(one) == self.said(kept)}
            ids = [one for one in ids if one not in names or one in same]
        version_1 = rng.random() < 0.25
        if version_1:
            ids = [one for one in ids if one < 0xF0 and one != 0x3B]
        if not ids:
            return self.frame()
        self.used.update((1 if version_1 else 2, one) for one in ids)
        body = b"".join(self.object_v1(one) if version_1 else self.object_v2(one) for one in ids)
        if rng.random() < 0.1:
            body = body[: rng.randrange(1, len(body))] if not version_1 else body
        if not version_1 and rng.random() < 0.1:
            body += bytes((rng.choice((0x30, 0x66, 0xEF, 0xFF)),)) + rng.randbytes(3)
        key = KEY if rng.random() < 0.5 and len(body) >= 4 else None
        counter = rng.choice((0, 1, 0xFFFF, rng.randrange(2**32)))
        if version_1:
            data = frames.bthome_v1(body, mac=MAC, counter=counter, key=key) if key else body
            return V1_ENCRYPTED if key else V1, data, MAC, key, body
        data = frames.bthome_v2(
            body,
            mac=MAC,
            counter=counter,
            key=key,
            include_mac=rng.random() < 0.2,
            triggered=rng.random() < 0.2,
        )
        return V2, data, MAC, key, body

    def said(self, object_id):
        return self.known[object_id].meas_format

    def data(self, object_id):
        rng, row = self.rng, self.known[object_id]
        if object_id == 0x3A:
            return bytes((rng.choice((0, 1, 2, 3, 4, 5, 6, 0x80, 0x81, 0xFE, rng.randrange(256))),))
        if object_id == 0x3C:
            return bytes((rng.choice((0, 1, 2, rng.randrange(256))), rng.randrange(256)))
        if object_id == 0x53:
            return "".join(rng.choices("abcXYZ 19.,é°", k=rng.randint(1, 8))).encode()
        if object_id == 0x54:
            return rng.randbytes(rng.randint(1, 6))
        if rng.random() < 0.5:
            return bytes([rng.randrange(256), rng.choice((0, 1, 3, 0xFF)), 0, 0][: row.data_length])
        return rng.randbytes(row.data_length)

    def object_v2(self, object_id):
        if object_id == 0x3B:
            arguments = self.rng.randbytes(self.rng.randint(0, 3))
            return bytes((object_id, len(arguments), self.rng.choice((0, 1, 2, 3, 4, 0x80)))) + arguments
        data = self.data(object_id)
        length = bytes((len(data),)) if object_id in LENGTH_SAYS else b""
        return bytes((object_id,)) + length + data

    def object_v1(self, object_id):
        data, row = self.data(object_id), self.known[object_id]
        form = {"signed_integer": 1, "string": 3, "raw": 4, "timestamp": 5}.get(row.data_format, 0)
        return bytes((form << 5 | len(data) + 1, object_id)) + data


def test_made_frames_beside_bthome_ble(theirs):
    """Ten thousand frames of both versions, plain and encrypted, say the same here and there."""
    ask, known = theirs
    made, found = Made(random.Random(7), known), []
    for _ in range(FRAMES):
        uuid, data, address, key, body = made.frame()
        found += differences(uuid, data, body, ours(uuid, data, address, key), ask(uuid, data, address, key))
    assert not found, f"{len(found)} differences\n" + "\n".join(map(str, found[:40]))
    assert {one for version, one in made.used if version == 2} == set(known)


def test_floats_of_version_1_beside_bthome_ble(theirs):
    """Of two, four and eight bytes, times the object's factor; to the factor's digits there."""
    ask, _ = theirs
    for form in "efd":
        data = struct.pack(f"<{form}", 2048.0)
        body = bytes((2 << 5 | len(data) + 1, 0x02)) + data
        assert ours(V1, body, MAC, None)[0] == ask(V1, body, MAC, None) == {"temperature": 20.48}


VECTORS = json.loads((Path(__file__).parents[2] / "data" / "bthome.json").read_text())


def service_data(case):
    if case.get("service_data"):
        return int(case["uuid"], 16), bytes.fromhex(case["service_data"])
    return next(payloads(bytes.fromhex(case["data"])))


@pytest.mark.parametrize("case", [case for case in VECTORS if case.get("mac")], ids=lambda case: case["name"])
def test_vectors_beside_bthome_ble(theirs, case):
    """Every frame of the public suites."""
    ask, _ = theirs
    if "frames" in case:
        pytest.skip("a sequence is the engine's: tests/engine/test_neighbours.py")
    uuid, data = service_data(case)
    key = bytes.fromhex(case["bindkey"]) if case.get("bindkey") else None
    address = parse_mac(case["mac"])
    theirs_said = ask(uuid, data, address, key)
    assert not list(differences(uuid, data, data, ours(uuid, data, address, key), theirs_said))
