"""Frames of pvvx's and atc1441's firmware, from public tests, with values worked out by hand."""

import pytest
from support.decoding import decode, read

from proxy_listener.formats.atc import ATC, FORMAT, UUID
from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.explain import examine
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.simulator import frames

MAC = 0xA4C138AABBCC
KEY = "aa" * 16

VECTORS = [
    # pvvx/ATC_MiThermometer, python-interface/atc_mi_interface/atc_mi_format_test.py
    (
        MAC,
        "02010612161a18ccbbaa38c1a46c07fa13d60a52090f",
        None,
        {"temperature": 19.0, "humidity": 51.14, "voltage": 2.774, "battery": 82, "opening": True, "power": True},
        9,
    ),
    (
        MAC,
        "02010610161a18a4c138aabbcc00ce33430a6ec3",
        None,
        {"temperature": 20.6, "humidity": 51, "battery": 67, "voltage": 2.67},
        195,
    ),
    (MAC, "0201060b161a18bde9b75db856f303", KEY, {"temperature": 19.0, "humidity": 25.0, "battery": 86}, 189),
    # 1technophile/OpenMQTTGateway#1393, an MHO-C401
    (
        0xA4C1380D0F0C,
        "02010612161a180c0f0d38c1a48307e4128f0b64b40f",
        None,
        {"temperature": 19.23, "humidity": 48.36, "voltage": 2.959, "battery": 100, "opening": True, "power": True},
        180,
    ),
    # ble_monitor 13.15.0, test_atc_parser.py: atc1441, custom, custom v2.9, custom encrypted
    (
        0xA4C1380283F4,
        "10161a18a4c1380283f400a22f5f0bf819",
        None,
        {"temperature": 16.2, "humidity": 47, "battery": 95, "voltage": 3.064},
        25,
    ),
    (
        0xA4C1380283F4,
        "12161a18f4830238c1a4a9066911b60b58f70d",
        None,
        {"temperature": 17.05, "humidity": 44.57, "voltage": 2.998, "battery": 88, "opening": True, "power": False},
        247,
    ),
    (
        0xA4C1388D18B2,
        "02010612161a18b2188d38c1a42b089011f70a43200f",
        None,
        {"temperature": 20.91, "humidity": 44.96, "voltage": 2.807, "battery": 67, "opening": True, "power": True},
        32,
    ),
    (
        0xA4C1388D18B2,
        "0e161a1811d603fbfa7b6dfb1e26fd",
        "b9ea895fac7eea6d30532432a516f3a3",
        {"temperature": 23.45, "humidity": 41.73, "battery": 61, "opening": False, "power": False},
        17,
    ),
]


@pytest.mark.parametrize(("mac", "data", "key", "values", "counter"), VECTORS)
def test_public_frames(mac, data, key, values, counter):
    """Each form gives its values, and its counter."""
    payload = bytes.fromhex(data)
    model, found = read(payload, mac, key)
    assert (model, found.values) == (ATC, values)
    service_data = payload[payload.index(b"\x16\x1a\x18") + 3 :]
    assert FORMAT.parse(service_data, mac).counter == counter


@pytest.mark.parametrize(
    ("payload", "values"),
    [
        (frames.pvvx(MAC, 1, -12.34, 99.99, 104, 3.1), {"battery": 100, "opening": False}),
        (frames.pvvx(MAC, 1, -12.34, 99.99, 100, 3.1)[:-1], {"temperature": -12.34, "humidity": 99.99}),
        (frames.atc1441(MAC, 1, -5.6, 100, 3, 2.1), {"temperature": -5.6, "humidity": 100, "battery": 3}),
        (frames.pvvx(MAC, 1, 21.0, 50.0, 80, 3.0, flags=0x06), {"opening": False, "power": True}),
    ],
)
def test_made_frames(payload, values):
    """Below zero, a battery above 100, without flags, an output that follows thresholds."""
    _, found = decode(UUID, payload, MAC)
    assert {name: found.values.get(name) for name in values} == values


def test_what_a_broken_sensor_sends_is_no_measurement():
    """0.00 °C with 0.00 %: pvvx/ATC_MiThermometer#484. One of them alone is a measurement."""
    _, found = decode(UUID, frames.pvvx(MAC, 1, 0.0, 0.0, 80, 3.0), MAC)
    assert (set(found.values), found.skipped.implausible) == (
        {"battery", "voltage", "opening"},
        ("temperature", "humidity"),
    )
    assert decode(UUID, frames.pvvx(MAC, 1, 0.0, 41.0, 80, 3.0), MAC)[1].values["temperature"] == 0.0


def test_what_cannot_be_is_left_out():
    """The rest of the frame counts."""
    _, found = decode(UUID, frames.pvvx(MAC, 1, 300.0, 41.0, 80, 3.0), MAC)
    assert (found.values["humidity"], found.skipped.implausible) == (41.0, ("temperature",))


def test_the_mac_inside_must_be_the_sender_s():
    """In either byte order."""
    for payload in (frames.pvvx(MAC, 1, 20.0, 50.0, 80, 3.0), frames.atc1441(MAC, 1, 20.0, 50, 80, 3.0)):
        with pytest.raises(DecodeError) as refused:
            FORMAT.parse(payload, MAC + 1)
        assert refused.value.outcome is Outcome.WRONG_MAC


@pytest.mark.parametrize("size", [*range(8), 9, 10, 12, 16, 20])
def test_other_service_data_of_the_sig_is_not_ours(size):
    """By its length."""
    with pytest.raises(DecodeError) as refused:
        FORMAT.parse(bytes(size), MAC)
    assert refused.value.outcome is Outcome.NOT_A_FRAME


@pytest.mark.parametrize(
    "payload",
    [
        frames.pvvx_sealed(MAC, 7, 21.5, 48.2, 90, 0, bytes.fromhex(KEY)),
        frames.atc1441_sealed(MAC, 7, 21.5, 48.0, 90, bytes.fromhex(KEY)),
    ],
)
def test_only_the_key_and_the_sender_open_a_frame(payload):
    """Another key, another address, a changed byte, and a key of another length do not."""
    assert decode(UUID, payload, MAC, KEY)[1].values["temperature"] == 21.5
    assert decode(UUID, payload, MAC, "ab" * 16) is None
    assert decode(UUID, payload, MAC + 1, KEY) is None
    assert decode(UUID, payload, MAC, "ab" * 12) is None
    assert decode(UUID, payload[:-1] + bytes((payload[-1] ^ 1,)), MAC, KEY) is None


def test_the_drawing_of_a_frame():
    """Fields, model, values; of an encrypted one with its key; and why not without."""
    drawn = examine(bytes.fromhex(VECTORS[0][1]), MAC)
    assert [line.name for line in drawn.lines if line.part == "frame"][-7:] == [
        *("MAC", "temperature", "humidity", "voltage", "battery", "counter", "flags")
    ]
    sealed = bytes.fromhex(VECTORS[2][1])
    assert examine(sealed, MAC, [Secret(KEY)]).decoded.values["battery"] == 86
    assert examine(sealed, MAC).outcome is Outcome.NO_BINDKEY
    assert examine(bytes.fromhex(VECTORS[0][1]), MAC + 1).outcome is Outcome.WRONG_MAC
    assert Bindkey(Secret(KEY)).scheme == FORMAT.parse(sealed[7:], MAC).scheme


def test_service_data_alone_is_recognised_by_telink_s_address():
    """In both byte orders; anything else of that length is not."""
    assert FORMAT.fits(frames.pvvx(MAC, 1, 20.0, 50.0, 80, 3.0))
    assert FORMAT.fits(frames.atc1441(MAC, 1, 20.0, 50, 80, 3.0))
    assert not FORMAT.fits(frames.pvvx(0x582D34350521, 1, 20.0, 50.0, 80, 3.0))
