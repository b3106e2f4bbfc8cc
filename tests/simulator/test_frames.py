"""Frames built from their parts are those that real devices sent (tests/data/xiaomi.json has their origin)."""

from datetime import UTC, datetime

import pytest

from proxy_listener.simulator.frames import advertisement, frame, hhccjcy10, obj, scale_v1, scale_v2


@pytest.mark.parametrize(
    ("product", "counter", "mac", "content", "published"),
    [
        (0x01AA, 0xDA, 0x582D34359321, obj(0x100D, b"\xfe\x00\x48\x02"), "5020aa01da219335342d580d1004fe004802"),
        (0x01AA, 0x8D, 0x582D3433AADF, obj(0x1006, b"\x66\x02"), "5020aa018ddfaa33342d580610026602"),
        (0x02DF, 0x38, 0x485743015C3A, obj(0x100A, b"\x5e"), "5020df02383a5c014357480a10015e"),
    ],
)  # fmt: skip
def test_plain_frames_are_those_of_real_devices(product, counter, mac, content, published):
    """Version 2, with the MAC, one object."""
    assert frame(product, counter, content, mac=mac, version=2) == bytes.fromhex(published)


def test_an_encrypted_frame_is_that_of_a_real_device():
    """MS1BB, version 5: header bits, extended counter and tag; 0x4A12 with 1 is "open"."""
    built = frame(
        0x1889,
        0x76,
        obj(0x4A12, b"\x01"),
        mac=0xA4C13866E567,
        key=bytes.fromhex("0fdcc30fe9289254876b5ef7c11ef1f0"),
        extended=0x26,
        header_bits=0x0900,
    )
    assert advertisement(built).hex() == "020106191695fe585989187667e56638c1a4aa8902ba26000023c3bca8"


def test_a_frame_without_objects_is_never_encrypted():
    """A sign of life has neither the object bit nor the encryption bit, also with a key."""
    control = int.from_bytes(frame(0x055B, 1, b"", mac=1, key=bytes(16))[:2], "little")
    assert control & (1 << 6 | 1 << 3) == 0


def test_a_legacy_frame_ends_in_its_counter_and_a_zero():
    """Versions 2 and 3: the body has the length of the objects, without a tag."""
    content = obj(0x1001, b"\x00\x00\x02")
    built = frame(0x03B6, 7, content, mac=0xF82441C59854, key=bytes(12), extended=0x010203, version=3)
    assert len(built) == 5 + 6 + len(content) + 4
    assert built[-4:] == bytes.fromhex("03020100")
    assert content not in built


def test_the_other_formats_have_their_published_layouts():
    """Scales (0x181D, 0x181B) with their clock, and HHCCJCY10 (0xFD50), byte for byte."""
    when = datetime(2026, 11, 3, 7, 8, 9, tzinfo=UTC)
    assert scale_v1(14_000, when).hex() == "22b036" + "ea070b03070809"
    assert scale_v2(14_000, when, impedance=500).hex() == "0226" + "ea070b03070809" + "f401b036"
    assert hhccjcy10(27.9, 14, 21_500, 93, 82).hex() == "0e0117" + "0053fc" + "5d0052"
