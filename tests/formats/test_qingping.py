"""Qingping's frames: public ones, each object worked out by hand, and what is refused."""

import json
import random
import warnings
from pathlib import Path

import pytest
from support.decoding import decode, read

from proxy_listener.formats import model_named
from proxy_listener.formats.explain import examine
from proxy_listener.formats.qingping import CLEARGRASS, FORMAT, FORMATS, MODELS, UUID, unknown_product
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.advertisement import mac_text, parse_mac, payloads
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.simulator import frames

VECTORS = json.loads((Path(__file__).parent.parent / "data" / "qingping.json").read_text())
MAC = 0x582D34AABBCC
HEAD = "0816ccbbaa342d58"
"""Control, device id of CGG1, the MAC reversed."""


def read_object(data, control="08"):
    """A frame with these objects, in hex."""
    model, found = decode(UUID, bytes.fromhex(control + HEAD[2:] + data), MAC)
    assert model.name == "CGG1"
    return found


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["id"])
def test_public_frames(case):
    """Each gives exactly its values, and its packet number."""
    data, mac = bytes.fromhex(case["data"]), parse_mac(case["mac"])
    assert read(data, mac)[1].values == case["values"]
    ((_, payload),) = [each for each in payloads(data) if each[0] == UUID]
    assert FORMAT.parse(payload, mac).counter == case["counter"]


@pytest.mark.parametrize(
    ("data", "values"),
    [
        ("0104cdff1302", {"temperature": -5.1, "humidity": 53.1}),  # FFCD is -51, 0213 is 531
        ("020107", {"battery": 7}),
        ("0201ff", {"battery": 100}),
        ("040100", {"door": True, "door_left_open": False}),
        ("040101", {"door": False, "door_left_open": False}),
        ("040102", {"door": True, "door_left_open": True}),
        ("07027327", {"pressure": 1009.9}),  # 2773 is 10099
        ("080401333701", {"motion": True, "illuminance": 79667}),  # 013733
        ("0804005d0001", {"motion": False, "illuminance": 65629}),  # 01005D
        ("090420a10700", {}),  # 500,000 lx is above every sun
        ("0904a0860100", {"illuminance": 100_000}),
        ("0f0109", {}),
        ("110101", {"light": True}),
        ("110100", {"light": False}),
        ("12042301f401", {"pm25": 291, "pm10": 500}),
        ("13022e1f", {"carbon_dioxide": 7982}),
        ("15026400", {"voc_index": 100}),
        ("18022201", {}),  # 0x0122 is 290, and no carbon dioxide
        ("190138", {"sound_pressure": 56}),
    ],
)
def test_each_object(data, values):
    """Its values, worked out by hand."""
    assert read_object(data).values == values


def test_an_event_frame_tells_the_motion_only():
    """The bytes of the lux are something else there: qingping-ble#84."""
    assert read_object("0804010b1503", control="48").values == {"motion": True}
    assert read_object("0804010b1500", control="88").values == {"motion": True, "illuminance": 5387}


@pytest.mark.parametrize(
    ("data", "quantity"),
    [
        ("0104ff7f1302", "temperature"),
        ("0104cd00ffff", "humidity"),
        ("020180", "battery"),
        ("040103", "door"),
        ("0702ffff", "pressure"),
        ("080401ffffff", "illuminance"),
        ("1204ffffffff", "pm25"),
        ("1302ffff", "carbon_dioxide"),
        ("1502ffff", "voc_index"),
        ("1901ff", "sound_pressure"),
    ],
)
def test_what_cannot_be_is_left_out(data, quantity):
    """An object gives all of its values or none; another one in the frame counts."""
    found = read_object(f"{data}110101")
    assert (found.values, found.skipped.implausible) == ({"light": True}, (quantity,))


def test_what_is_not_known_is_skipped_by_its_length():
    """An unknown type, a known type of another length, an object that is cut off; zeros at the end are padding."""
    assert read_object("770300000001026400020164").values == {"battery": 100}
    found = read_object("020150" + "0701ff" + "1302a0")
    assert (found.values, found.skipped.unknown, found.skipped.short) == ({"battery": 80}, (0x07,), True)
    assert not read_object("02015c00").skipped.short


def test_a_frame_without_objects_is_a_sign_of_life():
    """CGDN1 sends eight bytes between its measurements (ble_monitor#269)."""
    payload = bytes.fromhex("080e0aa4288ccf04")
    assert FORMAT.parse(payload, 0x04CF8C28A40C).body == b""
    assert examine(frames.advertisement(payload, UUID)).outcome is Outcome.EMPTY


def test_the_mac_inside_must_be_the_sender_s():
    """Of CGDN1 it is that of its Wi-Fi, two below the sender's; of no other, and no other number."""
    refused = [(0x16, 2), (0x16, 1), (0x0E, 1), (0x0E, -2), (0x24, 3), (0x7F, 2)]
    for device_id, more in refused:
        with pytest.raises(DecodeError) as error:
            FORMAT.parse(frames.qingping(MAC, device_id, {"battery": 50}), MAC + more)
        assert error.value.outcome is Outcome.WRONG_MAC
    for device_id, more in ((0x0E, 0), (0x0E, 2), (0x24, 2)):
        assert FORMAT.parse(frames.qingping(MAC, device_id, {"battery": 50}), MAC + more).mac == MAC


def test_the_same_frames_under_the_uuid_of_passkeys():
    """What ClearGrass sent there is read, and what phones send there is no frame."""
    payload = frames.qingping(MAC, 0x01, {"temperature": 21.0, "humidity": 40.0})
    assert decode(CLEARGRASS, payload, MAC)[1].values == {"temperature": 21.0, "humidity": 40.0}
    for other in (payload[:1] + b"\x7f" + payload[2:], b"\x08\x01" + bytes(18), payload[:6]):
        with pytest.raises(DecodeError) as error:
            FORMATS[CLEARGRASS].parse(other, MAC)
        assert error.value.outcome is Outcome.NOT_A_FRAME


@pytest.mark.parametrize("size", range(8))
def test_a_header_that_is_cut_off_is_malformed(size):
    with pytest.raises(DecodeError) as error:
        FORMAT.parse(bytes.fromhex(HEAD)[:size], None)
    assert error.value.outcome is Outcome.MALFORMED


def test_a_device_that_also_sends_mibeacon_is_one_model():
    """The row of Xiaomi's table, so that its frames of either format agree."""
    ids = {0x04: 0x03D6, 0x0C: 0x0576, 0x10: 0x066F, 0x12: 0x0A83, 0x16: 0x0347, 0x1E: 0x0C3C, 0x4F: 0x5808}
    assert {device_id: MODELS[device_id] for device_id in ids} == {key: model_of(each) for key, each in ids.items()}


def test_an_unknown_device_is_read_and_named_by_its_id():
    """Its objects are those of every other; the name is found again after a restart."""
    model, found = decode(UUID, frames.qingping(MAC, 0x7F, {"pressure": 1001.5}), MAC)
    assert (model.name, model.known, found.values) == ("Qingping 0x7F", False, {"pressure": 1001.5})
    assert model_named("Qingping 0x7F") is model
    assert [unknown_product(name) for name in ("Qingping 0x7", "Qingping 0x7f", "0x7F", "Qingping 0x7FF")] == [None] * 4


MEASURED = {
    "temperature": -12.3,
    "humidity": 99.9,
    "battery": 3,
    "pressure": 870.1,
    "motion": True,
    "illuminance": 199_999,
    "light": False,
    "pm25": 999,
    "pm10": 1000,
    "carbon_dioxide": 9999,
    "voc_index": 500,
    "sound_pressure": 120,
}


def test_what_the_encoder_writes_is_read():
    """Every quantity together, and the packet number behind them."""
    payload = frames.qingping(MAC, 0x52, MEASURED, packet=200)
    assert decode(UUID, payload, MAC)[1].values == MEASURED
    assert FORMAT.parse(payload, MAC).counter == 200


def test_the_drawing_of_a_frame():
    """Fields, model, values; what is not known and what is cut off; a MAC that is not the sender's."""
    payload = bytes.fromhex(HEAD + "0104d800bb01" + "0f0105" + "770101" + "18022201" + "1302ffff" + "0201")
    drawn = examine(frames.advertisement(payload, UUID), MAC)
    assert [(line.name, line.meaning) for line in drawn.lines if line.part == "frame"] == [
        ("control", "periodic"),
        ("device id", "0x16, CGG1, Temperature/Humidity Sensor"),
        ("MAC", "58:2D:34:AA:BB:CC"),
        ("climate", "temperature 21.6 °C, humidity 44.3 %"),
        ("packet number", "5"),
        ("object 0x77", "not known"),
        ("hardware", "nothing to tell"),
        ("carbon dioxide", "carbon_dioxide out of range"),
        ("cut off", ""),
    ]
    assert drawn.decoded.values == {"temperature": 21.6, "humidity": 44.3}
    assert examine(frames.advertisement(payload, UUID), MAC + 1).outcome is Outcome.WRONG_MAC


def test_service_data_alone_is_recognised():
    """By its device and by objects that fill it; cut off or with another device id it is not."""
    payload = frames.qingping(MAC, 0x16, {"temperature": 21.0, "humidity": 40.0})
    assert FORMAT.fits(payload)
    assert FORMAT.fits(payload + bytes(2))
    assert examine(payload).model.name == "CGG1"
    assert not any(FORMAT.fits(other) for other in (payload[:-1], payload[:8], b"\x08\x7f" + payload[2:], b""))


@pytest.fixture(name="theirs", scope="module")
def theirs_fixture():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        qingping_ble = pytest.importorskip("qingping_ble", reason="the oracle extra")
        from home_assistant_bluetooth import BluetoothServiceInfo

    def ask(data):
        parser = qingping_ble.QingpingBluetoothDeviceData()
        uuid = "0000fdcd-0000-1000-8000-00805f9b34fb"
        update = parser.update(
            BluetoothServiceInfo(
                name="",
                address=mac_text(MAC),
                rssi=-60,
                manufacturer_data={},
                service_data={uuid: data},
                service_uuids=[uuid],
                source="",
            )
        )
        device = update.devices.get(None)
        numbers = {key.key: value.native_value for key, value in update.entity_values.items()}
        # One of its keys is a pair by mistake.
        flags = {
            key.key[1] if isinstance(key.key, tuple) else key.key: bool(value.native_value)
            for key, value in update.binary_entity_values.items()
        }
        return (device.model if device else None), {
            name: value for name, value in (numbers | flags).items() if name != "signal_strength"
        }

    return ask


@pytest.mark.oracle
def test_beside_qingping_ble(theirs):
    """Every public frame and 10,000 made ones give the same, but for what is out of its range here."""
    rng = random.Random(11)
    public = [payload for case in VECTORS for uuid, payload in payloads(bytes.fromhex(case["data"])) if uuid == UUID]
    compared = 0
    for payload in [*public, *(made(rng) for _ in range(10_000))]:
        model, found = decode(UUID, payload)
        their_model, values = theirs(payload)
        assert their_model == (model.name if model.known else None)
        if not model.known:
            continue
        out = set(found.skipped.implausible)
        out |= {"humidity", "temperature"} if out & {"humidity", "temperature"} else set()
        out |= {"pm25", "pm10"} if out & {"pm25", "pm10"} else set()
        out |= {"motion"} if "illuminance" in out else set()
        out |= {"door_left_open"} if "door" in out else set()
        names = {"pm2_5": "pm25", "light": "light"}
        theirs_named = {names.get(name, name): value for name, value in values.items()}
        ours = {name: value for name, value in found.values.items() if name not in out}
        assert ours == {name: value for name, value in theirs_named.items() if name not in out}, payload.hex()
        compared += bool(ours)
    assert compared > 5_000


def made(rng):
    """A header and up to three objects, of which a few have a wrong length."""
    kinds = {1: 4, 2: 1, 4: 1, 7: 2, 8: 4, 9: 4, 15: 1, 17: 1, 18: 4, 19: 2, 21: 2, 24: 2, 25: 1, 0x77: 3}
    body = b""
    for kind in rng.sample(sorted(kinds), rng.randint(1, 3)):
        size = kinds[kind] if rng.random() < 0.95 else rng.randrange(6)
        data = bytes(rng.choice((0, 0, 1, 2, rng.randrange(256))) for _ in range(size))
        body += bytes((kind, size)) + data
    control = rng.choice((0x08, 0x48, 0x88, 0xC8, 0x0A))
    device_id = rng.choice((*MODELS, 0x7F))
    return bytes((control, device_id)) + MAC.to_bytes(6, "little") + body
