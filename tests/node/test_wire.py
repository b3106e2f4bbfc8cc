"""Framing without IO, against aioesphomeapi's own initiator."""

from contextlib import suppress

import pytest
from aioesphomeapi.noise import NoiseHandshake
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.model.secret import Secret
from proxy_listener.node.wire import MESSAGE_LIMIT, NoiseWire, PlainWire, WireError

PSK = "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc="
OTHER_PSK = "bOFFzzvfpg5DB94DuBGLXD/hMnhpDKgP9UQyBulwWVU="
packets = st.lists(st.tuples(st.integers(1, 0xFFFF), st.binary(max_size=600)), max_size=6)


def in_pieces(wire, data, sizes):
    got, at = [], 0
    for size in sizes:
        got += wire.receive(data[at : at + size])
        at += size
    return got + list(wire.receive(data[at:]))


@given(packets, st.lists(st.integers(1, 200), max_size=20))
def test_plaintext_round_trip_in_any_pieces(sent, sizes):
    """What one side packs the other receives, however TCP cuts it."""
    assert in_pieces(PlainWire(), PlainWire().pack(sent), sizes) == sent


def test_plaintext_bytes():
    """00, length, number, payload: a ping, and a message of 300 bytes with number 300."""
    assert PlainWire().pack([(7, b"")]) == b"\x00\x00\x07"
    assert PlainWire().pack([(300, b"x" * 300)])[:5] == b"\x00\xac\x02\xac\x02"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x01\x00\x00", "not a plaintext"),
        (b"\x00\xff\xff\xff\xff\xff\xff", "five bytes"),
        (b"\x00\xff\xff\x7f\x01", "too long"),
    ],
)
def test_plaintext_refuses(data, reason):
    """Another framing, an endless number, a length over the limit. Nothing is buffered for them."""
    with pytest.raises(WireError, match=reason):
        list(PlainWire().receive(data))


def handshake(psk=PSK, wire=None):
    """A node's wire and a client's ciphers after the handshake."""
    wire = wire or NoiseWire(Secret(PSK), "kitchen", "a0b1c2d3e4f5")
    client = NoiseHandshake(psk, b"NoiseAPIInit\x00\x00")
    first = b"\x00" + client.write_message()
    assert list(wire.receive(b"\x01\x00\x00" + frame(first))) == []
    hello, answer = frames(wire.outgoing())
    assert hello == b"\x01kitchen\x00a0b1c2d3e4f5\x00"
    assert answer[0] == 0
    client.read_message(answer[1:])
    return wire, *client.get_ciphers()


def frame(body):
    return b"\x01" + len(body).to_bytes(2, "big") + body


def frames(data):
    out = []
    while data:
        length = int.from_bytes(data[1:3], "big")
        out.append(data[3 : 3 + length])
        data = data[3 + length :]
    return out


@given(packets, st.lists(st.integers(1, 200), max_size=20))
def test_noise_round_trip_in_any_pieces(sent, sizes):
    """Both directions, many messages, any cuts."""
    wire, encrypt, decrypt = handshake()
    data = b"".join(
        frame(encrypt.encrypt(number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload))
        for number, payload in sent
    )
    assert in_pieces(wire, data, sizes) == sent
    back = [decrypt.decrypt(body) for body in frames(wire.pack(sent))]
    assert [(int.from_bytes(plain[:2], "big"), plain[4:]) for plain in back] == sent


def test_a_wrong_key_is_answered_with_its_reason():
    """Hello first, then 01 and the text that clients know."""
    wire = NoiseWire(Secret(PSK), "kitchen", "")
    client = NoiseHandshake(OTHER_PSK, b"NoiseAPIInit\x00\x00")
    with pytest.raises(WireError):
        list(wire.receive(b"\x01\x00\x00" + frame(b"\x00" + client.write_message())))
    assert frames(wire.outgoing()) == [b"\x01kitchen\x00", b"\x01Handshake MAC failure"]


def test_a_plaintext_client_is_told_the_indicator_is_bad():
    """As an encrypted frame, by which such a client learns that a key is needed."""
    wire = NoiseWire(Secret(PSK), "kitchen", "")
    with pytest.raises(WireError):
        list(wire.receive(b"\x00"))
    assert frames(wire.outgoing()) == [b"\x01Bad indicator byte"]


def test_a_handshake_frame_over_128_bytes_is_refused_before_it_is_read():
    """Its three bytes of header are enough."""
    wire = NoiseWire(Secret(PSK), "kitchen", "")
    with pytest.raises(WireError):
        list(wire.receive(b"\x01\x00\x81"))


def test_a_changed_byte_ends_an_encrypted_session():
    """The tag fails, and no answer is sent."""
    wire, encrypt, _ = handshake()
    body = bytearray(encrypt.encrypt(b"\x00\x07\x00\x00"))
    body[0] ^= 1
    with pytest.raises(WireError):
        list(wire.receive(frame(bytes(body))))
    assert wire.outgoing() == b""


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_messages_or_an_error(data, encrypted):
    """Nothing but WireError comes out of garbage."""
    wire = NoiseWire(Secret(PSK), "kitchen", "") if encrypted else PlainWire()
    try:
        for number, payload in wire.receive(data):
            assert isinstance(number, int)
            assert len(payload) <= MESSAGE_LIMIT
    except WireError:
        pass


@given(st.binary(max_size=200))
def test_any_bytes_after_the_handshake(data):
    """Garbage in an encrypted session is an error, never a message."""
    wire, *_ = handshake()
    with suppress(WireError):
        assert list(wire.receive(data)) == []
