"""Headers in all their forms, both encryptions, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.xiaomi.mibeacon import _any_frame, open_frame, parse_frame
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.formats.xiaomi.objects import decode_objects
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.simulator import frames

MAC = 0xA4C1380283F4
KEY = bytes.fromhex("e9ea895fac7cca6d30532432a516f3a8")
LEGACY_KEY = bytes.fromhex("b853075158487ca39a5b5ea9")
TEMPERATURE = frames.obj(0x1004, b"\x02\x01")
PRESS = frames.obj(0x1001, b"\x00\x01\x03")
LYWSD03MMC, DIMMER = 0x055B, 0x03B6


def bindkey(key):
    return Bindkey(Secret(key.hex()))


def refusal(data, address=None):
    with pytest.raises(DecodeError) as caught:
        parse_frame(data, address)
    return caught.value.outcome


def test_the_worked_example():
    """The documented frame opens: humidity 46.7 %, counter 9808."""
    data = bytes.fromhex("58585b0550f4830238c1a495ef58763c26000097e2abb5")
    frame = parse_frame(data, MAC)
    plain = open_frame(frame, data, MAC, bindkey(KEY))
    assert (frame.counter, frame.scheme, frame.tag.hex()) == (9808, "ccm", "97e2abb5")
    assert decode_objects(plain, model_of(frame.product_id), strict=True).values == {"humidity": 46.7}


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        ("5830b603d28b98c54124f8c3491476757e00000099", "011003000103"),
        ("5830b603368b98c54124f88bb8f2661351000000d6", "01100300ff04"),
    ],
)
def test_the_legacy_examples(data, plain):
    """Both documented v2/v3 frames open, and with one nibble of the key changed neither does."""
    data = bytes.fromhex(data)
    frame = parse_frame(data)
    assert open_frame(frame, data, 0xF82441C5988B, bindkey(LEGACY_KEY)).hex() == plain
    assert open_frame(frame, data, 0xF82441C5988B, bindkey(b"\xb9" + LEGACY_KEY[1:])) is None


keys = st.sampled_from([None, KEY])
headers = st.fixed_dictionaries(
    {
        "counter": st.integers(0, 255),
        "extended": st.integers(0, 0xFFFFFF),
        "version": st.sampled_from([2, 3, 4, 5]),
        "include_mac": st.booleans(),
        "header_bits": st.sampled_from([0, 1, 0x0100, 0x0200, 0x0400, 0x0800, 0x0D00]),
        "capability": st.sampled_from([None, 0x00, 0x08, 0x0D]),
    }
)


@given(headers, st.sampled_from([None, 0x20, 0x28, 0x3F]), st.sampled_from([b"\x01", b"\x01\x00"]), keys)
def test_every_form_of_header_comes_back(header, io_capability, io, key):
    """Whatever the version, MAC in or out, I/O capability of one byte or two: what went in comes out."""
    if key is not None:
        header["version"] = max(header["version"], 4)
    if io_capability is not None:
        header |= {"capability": io_capability, "io": io}
    counter = header.pop("counter")
    data = frames.frame(LYWSD03MMC, counter, TEMPERATURE, mac=MAC, key=key, **header)
    frame = parse_frame(data, MAC)
    plain = open_frame(frame, data, MAC, bindkey(key)) if frame.scheme != "plain" else frame.body
    assert plain == TEMPERATURE
    assert (frame.product_id, frame.control >> 12) == (LYWSD03MMC, header["version"])
    assert frame.mac == (MAC if header["include_mac"] else None)
    assert frame.counter == (header["extended"] << 8 | counter if key else counter)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**48 - 1), st.binary(min_size=3, max_size=40), headers)
def test_sealed_with_any_key_and_address(key, mac, objects, header):
    """v4/v5: any key, address and content come back; another address or key gives nothing."""
    header["version"] = max(header["version"], 4)
    data = frames.frame(LYWSD03MMC, header.pop("counter"), objects, mac=mac, key=key, **header)
    frame = parse_frame(data, mac)
    assert open_frame(frame, data, mac, bindkey(key)) == objects
    assert open_frame(frame, data, mac ^ 1, bindkey(key)) is None
    assert open_frame(frame, data, mac, bindkey(bytes([key[0] ^ 1]) + key[1:])) is None


@settings(max_examples=60)
@given(st.binary(min_size=3, max_size=12), headers)
def test_one_flipped_bit_yields_nothing(objects, header):
    """A v4/v5 frame with any one bit of product, counter, ciphertext, extended counter or tag flipped does not open."""
    header |= {"version": 5, "capability": None}
    data = frames.frame(LYWSD03MMC, header.pop("counter"), objects, mac=MAC, key=KEY, **header)
    start = parse_frame(data).start
    key = bindkey(KEY)
    for bit in [*range(16, 40), *range(start * 8, len(data) * 8)]:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert open_frame(parse_frame(bytes(damaged)), bytes(damaged), MAC, key) is None


def test_flipped_header_bits_never_change_what_is_read():
    """The control and capability are not authenticated: flipping them gives the same objects, a refusal, or nothing."""
    data = frames.frame(LYWSD03MMC, 1, TEMPERATURE, mac=MAC, key=KEY, capability=0x08)
    for bit in [*range(16), *range(11 * 8, 12 * 8)]:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            frame = parse_frame(bytes(damaged), MAC)
            plain = open_frame(frame, bytes(damaged), MAC, bindkey(KEY)) if frame.scheme != "plain" else None
        except DecodeError:
            continue
        assert plain in {None, TEMPERATURE}


@given(st.integers(0, 255), st.integers(0, 2**48 - 1), st.binary(min_size=12, max_size=12), st.booleans())
def test_legacy_round_trip(counter, mac, key, include_mac):
    """v2/v3: a press of a dimmer comes back with any key and address."""
    data = frames.frame(DIMMER, counter, PRESS, mac=mac, key=key, version=3, include_mac=include_mac)
    assert open_frame(parse_frame(data, mac), data, mac, bindkey(key)) == PRESS


def test_legacy_is_believed_of_few_products_and_one_object():
    """v2/v3 proves nothing: only presses, only from products known to use it, each in its range."""
    others = frames.frame(LYWSD03MMC, 1, PRESS, mac=MAC, key=LEGACY_KEY, version=3)
    with pytest.raises(DecodeError) as caught:
        open_frame(parse_frame(others), others, MAC, bindkey(LEGACY_KEY))
    assert caught.value.outcome is Outcome.DOWNGRADED
    for objects in (TEMPERATURE, PRESS + TEMPERATURE, frames.obj(0x1001, b"\x00\x01\x05"), PRESS[:-1]):
        data = frames.frame(DIMMER, 1, objects, mac=MAC, key=LEGACY_KEY, version=3)
        assert open_frame(parse_frame(data), data, MAC, bindkey(LEGACY_KEY)) is None
    strange = frames.obj(0x1001, b"\x09\x00\x03")
    data = frames.frame(DIMMER, 1, strange, mac=MAC, key=LEGACY_KEY, version=3)
    plain = open_frame(parse_frame(data), data, MAC, bindkey(LEGACY_KEY))
    with pytest.raises(DecodeError) as caught:
        decode_objects(plain, model_of(DIMMER), strict=True)
    assert caught.value.outcome is Outcome.IMPLAUSIBLE


@pytest.mark.parametrize(("version", "key"), [(3, KEY), (5, LEGACY_KEY)])
def test_a_key_opens_its_own_scheme_only(version, key):
    """A frame of the other scheme is DOWNGRADED, whatever it holds."""
    sealed = LEGACY_KEY if version == 3 else KEY
    data = frames.frame(DIMMER, 1, PRESS, mac=MAC, key=sealed, version=version)
    with pytest.raises(DecodeError) as caught:
        open_frame(parse_frame(data), data, MAC, bindkey(key))
    assert caught.value.outcome is Outcome.DOWNGRADED


def test_each_refusal_has_its_outcome():
    """Each refusal has its own outcome: too short, cut off, mesh, old versions, another MAC inside."""
    good = frames.frame(LYWSD03MMC, 1, TEMPERATURE, mac=MAC)
    assert refusal(b"") is Outcome.MALFORMED
    assert refusal(good[:4]) is Outcome.MALFORMED
    assert refusal(good[:10]) is Outcome.MALFORMED
    assert refusal(good[:13]) is Outcome.MALFORMED
    assert refusal(frames.frame(LYWSD03MMC, 1, TEMPERATURE, mac=MAC, header_bits=0x80)) is Outcome.MESH
    assert refusal(frames.frame(LYWSD03MMC, 1, TEMPERATURE, mac=MAC, version=1)) is Outcome.NOT_A_FRAME
    assert refusal(frames.frame(LYWSD03MMC, 1, b"", mac=MAC, version=0)) is Outcome.NOT_A_FRAME
    assert refusal(good, MAC + 1) is Outcome.WRONG_MAC
    assert parse_frame(good, MAC).mac == MAC


def outcome_of(parse, data, address):
    try:
        return parse(data, address)
    except DecodeError as problem:
        return problem.outcome


bodies = st.one_of(st.sampled_from([TEMPERATURE, b"", b"\x08", b"\x28", b"\x28\x01"]), st.binary(max_size=20))
forms = st.sampled_from([0x10, 0x30, 0x50, 0x58, 0x70, 0x78, 0x48, None])


@settings(max_examples=300)
@given(st.integers(0, 0xFFFF), forms, st.sampled_from([LYWSD03MMC, 0x0098]), st.sampled_from([MAC, MAC + 1]), bodies)
def test_the_fast_parser_agrees_with_the_general_one(control, usual, product, mac, body):
    """For any header and body both give the same frame, or the same refusal."""
    if usual is not None:
        control = control & 0xFF00 | usual
    data = control.to_bytes(2, "little") + product.to_bytes(2, "little") + b"\x07" + mac.to_bytes(6, "little") + body
    for address in (MAC, None):
        assert outcome_of(parse_frame, data, address) == outcome_of(_any_frame, data, address)


def test_header_only_frames_have_an_empty_body():
    """Header-only frames have an empty body: bound devices', HHCCJCY01's old firmware, I/O capability in two bytes."""
    assert parse_frame(frames.frame(LYWSD03MMC, 7, b"", mac=MAC)).body == b""
    assert parse_frame(frames.frame(0x0098, 7, b"", mac=MAC, version=0, capability=0x0D, header_bits=0x0201)).silent
    assert parse_frame(bytes.fromhex("3058480b70dc3312342d58280100")).capability == 0x28
    assert parse_frame(bytes.fromhex("71209800" + "47" + "63b6658d7cc4" + "0d")).body == b""


def test_short_encrypted_frames_are_no_wrong_key():
    """MJYD02YL's 8 encrypted bytes hold no object: MALFORMED, before any key is tried."""
    assert refusal(bytes.fromhex("5859f607635e112427d12891eeaa3135623500")) is Outcome.MALFORMED


def test_the_counter_order_of_cgg1():
    """The one known frame of CGG1-ENCRYPTED counts 0x000E00, in either byte order."""
    frame = parse_frame(bytes.fromhex("5858480b685f12342d585a0b1841e2aa000e00a4964fb5"))
    assert frame.counter == 0x000E0068
