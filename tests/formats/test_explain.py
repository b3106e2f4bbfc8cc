"""The drawing of a frame has every byte, the reason if it cannot be read, and never the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.formats import FORMATS
from proxy_listener.formats.explain import examine, explain, text
from proxy_listener.formats.xiaomi.mibeacon import UUID as MIBEACON
from proxy_listener.formats.xiaomi.miscale import WEIGHT_SCALE
from proxy_listener.model.advertisement import parse_mac, payloads
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.simulator import frames

KEY = "e9ea895fac7cca6d30532432a516f3a8"
EXAMPLE = bytes.fromhex("58585b0550f4830238c1a495ef58763c26000097e2abb5")
MAC = 0xA4C1380283F4


def test_the_worked_example_byte_by_byte():
    """Fields with their bytes, the counter, the plaintext, the value; the key nowhere."""
    drawn = explain(EXAMPLE, MAC, [Secret(KEY)])
    assert drawn.splitlines() == [
        "frame",
        "    0  58 58              control         version 5, encrypted, MAC, objects, standard authentication",
        "    2  5b 05              product id      0x055B, LYWSD03MMC, Temperature/Humidity Sensor",
        "    4  50                 counter         80",
        "    5  f4 83 02 38 c1 a4  MAC             A4:C1:38:02:83:F4",
        "   11  95 ef 58 76 3c     objects         encrypted, v4v5",
        "   16  26 00 00           extended        38; with the counter 9808",
        "   19  97 e2 ab b5        tag",
        "decrypted",
        "    0  06 10              object id       0x1006",
        "    2  02                 length          2",
        "    3  d3 01              data            humidity 46.7 %",
        "model     LYWSD03MMC, Temperature/Humidity Sensor",
        "value     humidity 46.7 %",
        "outcome   decoded",
    ]


def test_every_byte_of_an_advertisement_is_drawn_once(vector):
    """The lines of a vector, without what was decrypted, are its payload: no byte is missing, none is there twice."""
    for advert in vector["adverts"]:
        data = bytes.fromhex(advert["data"])
        keys = [Secret(vector["bindkey"])] if vector["bindkey"] else []
        drawing = examine(data, parse_mac(advert["mac"]), keys)
        assert b"".join(line.data for line in drawing.lines if line.part != "decrypted") == data
        offsets = [line.offset for line in drawing.lines if line.part != "decrypted"]
        assert offsets == sorted(offsets)
        assert not vector["bindkey"] or vector["bindkey"] not in text(drawing)


@pytest.mark.parametrize(
    ("data", "address", "keys", "outcome"),
    [
        (EXAMPLE, MAC, [], Outcome.NO_BINDKEY),
        (EXAMPLE, MAC, ["00" * 16], Outcome.WRONG_BINDKEY),
        (EXAMPLE, MAC, ["00" * 12], Outcome.DOWNGRADED),
        (EXAMPLE, MAC + 1, [KEY], Outcome.WRONG_MAC),
        (frames.frame(0x055B, 1, b"", mac=MAC), None, [], Outcome.EMPTY),
        (frames.frame(0x055B, 1, frames.obj(0x7777, b"a"), mac=MAC), None, [], Outcome.UNKNOWN_OBJECT),
        (frames.frame(0x055B, 1, frames.obj(0x1004, b"\xff\x7f"), mac=MAC), None, [], Outcome.IMPLAUSIBLE),
        (frames.frame(0x055B, 1, frames.obj(0x1004, b"\xff\x7f")[:-1], mac=MAC), None, [], Outcome.MALFORMED),
        (frames.frame(0x055B, 1, frames.obj(0x1004, b"\x00\x00"), mac=MAC, header_bits=0x80), None, [], Outcome.MESH),
        (b"", None, [], Outcome.MALFORMED),
    ],
)
def test_why_it_gives_no_reading(data, address, keys, outcome):
    """Each cause has its outcome and a reason in words."""
    drawing = examine(data, address, [Secret(key) for key in keys])
    assert drawing.outcome is outcome
    assert drawing.reason
    assert str(outcome) in text(drawing)


def test_without_the_address_it_is_not_decrypted():
    """Where the MAC is not in the frame either, the reason says so."""
    sealed = frames.frame(
        0x055B, 1, frames.obj(0x1004, b"\x00\x00"), mac=MAC, key=bytes.fromhex(KEY), include_mac=False
    )
    assert "--mac" in examine(sealed, None, [Secret(KEY)]).reason
    assert examine(sealed, MAC, [Secret(KEY)]).decoded.values == {"temperature": 0.0}


def test_service_data_alone_of_a_scale():
    """Ten bytes that are no MiBeacon frame are a scale's."""
    assert examine(bytes.fromhex("229e43e507040b101301")).decoded.values["mass"] == 86.55


@given(st.binary(max_size=62), st.booleans(), st.sampled_from([MIBEACON, WEIGHT_SCALE, 0x181B, 0xFD50]))
def test_any_bytes_can_be_drawn(data, wrapped, uuid):
    """Any bytes give a drawing with an outcome, and no error."""
    payload = frames.advertisement(data[:200], uuid) if wrapped else data
    assert "outcome" in explain(payload, MAC, [Secret(KEY), Secret("00" * 12)])


FOREIGN = {
    "02010609162cfeb016c16be2d6": "0xFE2C, Google Fast Pair, not decoded",
    "1bff0600010920029c82f55dcc7a3a545db66c8b19e90daef44501f5": "company 0x0006, Microsoft, not decoded",
    "0201060aff4c00100545b7f5faa4": "company 0x004C, Apple, not decoded",
    "02011a1aff4c000215" + "00" * 20 + "c5": "company 0x004C, Apple iBeacon, not decoded",
    "0201060fff8f030a103d0c000aa4288ccf0481": "company 0x038F, Xiaomi, not decoded",
    "172b01007ace43bddb75ab7f0000000029a6fb7d0cb3063f": "not decoded",
    "020106172b01007ace43bddb75ab7f0000000029a6fb7d0cb3063f": "not decoded",
    "0201060303aafe0616aafe200000": "0xFEAA, Eddystone, not decoded",
    "02010603039cfe0716fdcd": "",  # cut off in its last structure
    "02010617ff4c000215": "",  # cut off; as service data alone it has as many bytes as HHCCJCY10's
}


@pytest.mark.parametrize(("data", "meaning"), FOREIGN.items(), ids=lambda value: value[:24])
def test_a_whole_advertisement_without_our_service_data_is_drawn_as_what_it_is(data, meaning):
    """Never as a frame of ours: each structure with its name, every byte once, and no value is made up."""
    drawing = examine(bytes.fromhex(data))
    assert drawing.outcome is Outcome.NOT_OURS
    assert drawing.decoded is None
    assert drawing.model is None
    assert b"".join(line.data for line in drawing.lines).hex() == data
    assert [line.part for line in drawing.lines] == ["advertisement"] * len(drawing.lines)
    assert meaning in {line.meaning for line in drawing.lines}


def test_service_data_alone_is_not_taken_for_an_advertisement(vector):
    """Of every public vector: the frame without its structures is still drawn as that format."""
    for advert in vector["adverts"]:
        for uuid, data in payloads(bytes.fromhex(advert["data"])):
            if uuid in FORMATS:
                assert {line.part for line in examine(data).lines} <= {"frame", "decrypted"}


def test_a_frame_in_manufacturer_data_is_drawn():
    """The Zelkova lock's, with the key of the report (esphome/feature-requests #1252)."""
    data = bytes.fromhex("02010617ff8f0348449701055cd7dd0de2d2de4601000043905af1")
    drawn = examine(data, parse_mac("C8:BF:4C:0A:0B:0C"), [Secret("00112233445566778899aabbccddeeff")])
    assert drawn.decoded.values == {"battery": 90}
    (line,) = (line for line in drawn.lines if line.name == "manufacturer data")
    assert line.meaning == "0x038F, MiBeacon in manufacturer data"
