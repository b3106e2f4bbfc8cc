"""BTHome's headers and encryption, and their drawing."""

import pytest
from support.decoding import decode

from proxy_listener.formats import FORMATS
from proxy_listener.formats.bthome.frames import V1, V1_ENCRYPTED, V2, parse_v2
from proxy_listener.formats.bthome.models import SENSOR, TRIGGERED
from proxy_listener.formats.explain import examine
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.simulator import frames

MAC = 0x5448E68F80A5
KEY = "231d39c1d7cc1ab1aee224cd096db932"
SECRET = bytes.fromhex(KEY)
OBJECTS = bytes.fromhex("02ca0903bf13")
VALUES = {"temperature": 25.06, "humidity": 50.55}


def test_the_header():
    """Trigger-based, MAC inside, packet id, counter and tag."""
    frame = parse_v2(frames.bthome_v2(b"\x00\x09" + OBJECTS, mac=MAC, include_mac=True, triggered=True), None)
    assert (frame.model, frame.mac, frame.counter, frame.scheme) == (TRIGGERED, MAC, 9, "plain")
    frame = parse_v2(frames.bthome_v2(OBJECTS, mac=MAC, counter=0x12345678, key=SECRET), None)
    assert (frame.model, frame.mac, frame.counter, frame.scheme, len(frame.tag)) == (SENSOR, None, 0x12345678, "ccm", 4)


def test_a_sign_of_life():
    """A packet id alone, and no objects at all."""
    for objects in (b"\x00\x09", b""):
        assert parse_v2(frames.bthome_v2(objects), None).body == b""


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        ("", Outcome.MALFORMED),
        ("20", Outcome.NOT_A_FRAME),
        ("60015d", Outcome.NOT_A_FRAME),
        ("42a580", Outcome.MALFORMED),
        ("41", Outcome.MALFORMED),
        ("41aa0011223344556677", Outcome.MALFORMED),
    ],
)
def test_what_is_refused(payload, outcome):
    """No bytes, another version, a MAC that is cut off, fewer than two encrypted bytes."""
    with pytest.raises(DecodeError) as refused:
        parse_v2(bytes.fromhex(payload), None)
    assert refused.value.outcome is outcome


@pytest.mark.parametrize("include_mac", [False, True])
def test_version_2_opens_with_its_key_alone(include_mac):
    """The nonce holds the MAC inside where there is one, else the sender's, and the information byte."""
    payload = frames.bthome_v2(OBJECTS, mac=MAC, counter=77, key=SECRET, include_mac=include_mac)
    sender = MAC + 5 if include_mac else MAC
    assert decode(V2, payload, sender, KEY)[1].values == VALUES
    assert decode(V2, payload, sender, "ab" * 16) is None
    assert decode(V2, payload, sender, "ab" * 12) is None
    assert decode(V2, bytes((payload[0] ^ 4,)) + payload[1:], sender, KEY) is None
    if not include_mac:
        assert decode(V2, payload, MAC + 1, KEY) is None


def test_version_1_opens_with_its_key_alone():
    """Its objects have formats of their own."""
    payload = frames.bthome_v1(bytes.fromhex("2302ca090303bf13"), mac=MAC, counter=77, key=SECRET)
    assert decode(V1_ENCRYPTED, payload, MAC, KEY)[1].values == VALUES
    assert decode(V1_ENCRYPTED, payload, MAC + 1, KEY) is None
    assert decode(V1, bytes.fromhex("2302ca090303bf13"), MAC)[1].values == VALUES


def test_the_drawing():
    """Each object with what it says; what cannot be read, with why; an encrypted frame with its key and without."""
    plain = examine(frames.advertisement(frames.bthome_v2(bytes.fromhex("000902ca090160fe01"), mac=MAC), V2), MAC)
    drawn = [(line.name, line.meaning) for line in plain.lines][-5:]
    assert drawn == [
        ("information", "version 2"),
        ("packet id", "9"),
        ("object 0x02", "temperature 25.06 °C"),
        ("object 0x01", "battery 96 %"),
        ("rest", "not known here"),
    ]
    sealed = frames.advertisement(frames.bthome_v2(OBJECTS, mac=MAC, counter=5, key=SECRET), V2)
    assert examine(sealed, MAC).outcome is Outcome.NO_BINDKEY
    assert examine(sealed, MAC, [Secret(KEY)]).decoded.values == VALUES
    empty = examine(frames.advertisement(frames.bthome_v2(b"\x00\x09"), V2), MAC)
    assert (empty.outcome, empty.reason) == (Outcome.EMPTY, "its objects tell nothing")
    first = frames.advertisement(
        frames.bthome_v1(bytes.fromhex("2302ca09"), mac=MAC, counter=5, key=SECRET), V1_ENCRYPTED
    )
    assert examine(first, MAC, [Secret(KEY)]).decoded.values == {"temperature": 25.06}
    assert examine(frames.advertisement(bytes.fromhex("2302ca09"), V1), MAC).decoded.values == {"temperature": 25.06}


def test_a_payload_alone_is_recognised_where_it_can_be():
    """By its information byte and objects that fill it; of version 1 by its objects."""
    assert FORMATS[V2].fits(frames.bthome_v2(OBJECTS))
    assert FORMATS[V2].fits(frames.bthome_v2(OBJECTS, mac=MAC, key=SECRET))
    assert FORMATS[V2].fits(frames.bthome_v2(OBJECTS + b"\xfe\x01"))
    assert not any(FORMATS[V2].fits(payload) for payload in (b"", b"\x40", b"\x40\xfe", bytes.fromhex("5858")))
    assert FORMATS[V1].fits(bytes.fromhex("2302ca09"))
    assert not FORMATS[V1].fits(b"\x00" * 4)
