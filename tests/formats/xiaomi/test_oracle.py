"""Beside xiaomi-ble: random valid frames of every object it knows. Every difference is a written decision or a bug.

``pip install '.[oracle]'``, then ``pytest -m oracle``.
"""

import random
import warnings

import attrs
import pytest

from proxy_listener.formats.xiaomi.models import MODELS
from proxy_listener.formats.xiaomi.objects import rows_of
from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.errors import DecodeError
from proxy_listener.simulator import frames

pytestmark = pytest.mark.oracle

MAC = 0xA4C1380283F4
KEYS = {"v4/v5": bytes(range(16)), "legacy": bytes(range(12))}
FRAMES_EACH = 40

ABSENT = object()


@attrs.frozen
class Difference:
    """One quantity (or ``events``) on which the two do not agree; ABSENT where one does not give it."""

    model: str
    object_id: int
    data: bytes
    name: str
    ours: object
    theirs: object

    @property
    def number(self):
        return int.from_bytes(self.data, "little")


SERVICE_OF_PRESSES = {
    "XMWS01XS": 0x4A,
    "PTX_YK1_QMIMB": 0x4A,
    "XMWXKG01YL": 0x4E,
    "XMWXKG01LM": 0x4E,
    "KS1": 0x56,
    "KS1BP": 0x56,
    "KS2BB": 0x56,
    "AFWXKG220000": 0x56,
}
"""The service whose press events a model sends; on others the rule of the ids is read here, and not there."""


# What this project decides otherwise, each with when it may differ. Reasons:
# docs/protocol/mibeacon-objects.md#disagreements-between-decoders.
DECIDED = {
    "humidity is not cut to whole percent": lambda d: d.name == "humidity" and int(d.ours) == d.theirs,
    "no voltage is made up": lambda d: d.name == "voltage" and d.ours is ABSENT,
    "no motion for 1 to 30 s is no motion": lambda d: (
        d.name == "motion" and d.object_id in {0x1017, 0x4818} and d.ours is (d.number == 0)
    ),
    "idle_time holds the seconds": lambda d: d.name == "idle_time" and d.theirs is ABSENT and d.ours == d.number,
    "durations of two and four bytes": lambda d: (
        d.name.startswith("duration_") and len(d.data) in {2, 4} and d.ours == d.number
    ),
    "0x1007 is lux or a flag on every model": lambda d: (
        d.object_id == 0x1007 and d.name in {"illuminance", "light"} and d.theirs is ABSENT
    ),
    "scales tell their own time": lambda d: d.name == "weighing" and d.theirs is ABSENT,
    "an S200 that shows 0 is not stabilized": lambda d: d.object_id == 0x4E16 and d.theirs is ABSENT,
    "an event of low battery needs no byte": lambda d: d.name == "battery_low" and not d.data and d.ours is True,
    "0x100F is public elsewhere than on one safe": lambda d: d.object_id == 0x100F and d.theirs is ABSENT,
    "presses follow the rule on every service": lambda d: (
        d.object_id & 0xFF in {0x0C, 0x0D, 0x0E}
        and d.object_id > 0x4000
        and d.object_id >> 8 != SERVICE_OF_PRESSES.get(d.model)
    ),
    "0x100E is of every lock, and has more bolts than one": lambda d: (
        d.object_id == 0x100E and (d.theirs is ABSENT or (d.name == "lock" and d.number & 0b11 == 0b10))
    ),
    "a byte of all ones is no value": lambda d: d.ours is ABSENT and d.theirs == 0xFF and d.data.endswith(b"\xff"),
    "a thermometer's largest and smallest number are no temperature": lambda d: (
        d.object_id in {0x000A, 0x2000} and d.name == "temperature" and d.ours is ABSENT
    ),
    "a fault is a fault and no smoke": lambda d: (
        d.object_id == 0x1015 and (d.theirs is ABSENT or (d.name == "smoke" and d.number >= 2))
    ),
    "bit 3 alone is the child lock": lambda d: d.object_id == 0x100E and d.name == "childlock" and d.number > 0b1111,
    "key ids of 8000xxxx are of no kind": lambda d: d.name == "key_id" and d.ours.startswith("key id "),
    "without weight and impedance nothing is stable": lambda d: (
        d.object_id == 0x6E16 and d.name == "stabilized" and d.ours is False
    ),
    "both buttons at once are 2 on XMWS01XS": lambda d: d.model == "XMWS01XS" and d.number == 2 and not d.theirs,
    "0x4804 is an opening on one model only": lambda d: d.model != "MS1BB(MI)" and d.object_id == 0x4804,
    "a reset is an event": lambda d: d.name == "events" and d.object_id in {0x1019, 0x4E1C} and not d.theirs,
}


@pytest.fixture(name="theirs", scope="module")
def theirs_fixture():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xiaomi_ble = pytest.importorskip("xiaomi_ble", reason="the oracle extra")
        from home_assistant_bluetooth import BluetoothServiceInfo
        from xiaomi_ble.devices import DEVICE_TYPES
        from xiaomi_ble.parser import xiaomi_dataobject_dict

    def ask(data, key):
        """Values and events; None where it raises."""
        parser = xiaomi_ble.XiaomiBluetoothDeviceData(bindkey=key)
        info = BluetoothServiceInfo(
            name="",
            address=mac_text(MAC),
            rssi=-60,
            manufacturer_data={},
            service_data={"0000fe95-0000-1000-8000-00805f9b34fb": data},
            service_uuids=["0000fe95-0000-1000-8000-00805f9b34fb"],
            source="",
        )
        try:
            update = parser.update(info)
        except (UnboundLocalError, KeyError):  # lock errors; KS1 button numbers above 4
            return None
        values = {key.key: value.native_value for key, value in update.entity_values.items()}
        flags = {
            "battery_low" if key.key == "battery" else key.key: bool(value.native_value)
            for key, value in update.binary_entity_values.items()
        }
        events = {(key.key, event.event_type) for key, event in update.events.items()}
        skipped = {"signal_strength"}  # of the receiver, not of the frame
        return {k: v for k, v in (values | flags).items() if k not in skipped} | {"events": events}

    return ask, DEVICE_TYPES, xiaomi_dataobject_dict


def data_of(rng, row):
    """Data that a device could send: small codes more often than noise."""
    length = rng.choice(sorted(row.lengths))
    return bytes(rng.choice((0, 1, 2, 3, rng.randrange(256))) for _ in range(length))


def agree(ours, theirs):
    if ABSENT in (ours, theirs) or isinstance(ours, bool | str | set):
        return ours == theirs
    return abs(ours - theirs) <= 0.051


def differences(model, object_id, data, ours, theirs):
    """What differs and is no written decision."""
    for name in sorted({*ours, *theirs}):
        found = Difference(model, object_id, data, name, ours.get(name, ABSENT), theirs.get(name, ABSENT))
        if not agree(found.ours, found.theirs) and not any(decided(found) for decided in DECIDED.values()):
            yield found


def asked(rng, model, object_id, row, ask, read):
    """A random frame of the object: what it says here and there, both with their events; None where one refuses."""
    data = data_of(rng, row)
    key = KEYS.get(model.encryption) if object_id == 0x1001 or model.encryption != "legacy" else None
    version = 3 if model.encryption == "legacy" else 5
    sent = frames.frame(model.product_id, 1, frames.obj(object_id, data), mac=MAC, key=key, version=version)
    try:
        result = read(frames.advertisement(sent), MAC, key.hex() if key else None)
    except DecodeError:
        return None  # out of range or unlisted, where xiaomi-ble publishes what came
    answer = ask(sent, key)
    if answer is None or result is None or result[1].skipped.implausible:
        return None
    ours = result[1].values | {"events": {(event.event, event.type) for event in result[1].events}}
    return data, ours, answer


def test_beside_xiaomi_ble(theirs, read):
    """Every object that xiaomi-ble knows, of every model that it knows and that has a row for it here."""
    ask, their_models, their_objects = theirs
    rng = random.Random(7)
    compared, found = set(), []
    for product, model in MODELS.items():
        if product not in their_models:
            continue
        assert their_models[product].model == model.name
        for object_id, row in rows_of(model).items():
            for _ in range(FRAMES_EACH if object_id in their_objects else 0):
                result = asked(rng, model, object_id, row, ask, read)
                if result is not None:
                    found += differences(model.name, object_id, *result)
                    compared.add(object_id)
    assert not found, f"{len(found)} differences\n" + "\n".join(map(str, found[:60]))
    assert compared == set(their_objects)
