"""The drawing of a MiBeacon frame, whole and cut off."""

import pytest

from proxy_listener.formats.drawing import Drawing, StopDrawing
from proxy_listener.formats.xiaomi.mibeacon_drawing import draw
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.simulator import frames

KEY = "e9ea895fac7cca6d30532432a516f3a8"
MAC = 0xA4C1380283F4
EXAMPLE = bytes.fromhex("58585b0550f4830238c1a495ef58763c26000097e2abb5")


def drawn(data, address=MAC, keys=()):
    """The lines that could be drawn, and why the drawing stopped."""
    drawing, stop = Drawing(address, [Secret(key) for key in keys]), None
    try:
        draw(drawing, data, 0)
    except (StopDrawing, DecodeError) as error:
        stop = error.outcome
    return drawing, stop


@pytest.mark.parametrize("size", range(len(EXAMPLE)))
def test_every_byte_of_a_frame_that_is_cut_off_is_drawn_once(size):
    """Wherever it ends, so that a bug report shows all that came."""
    drawing, stop = drawn(EXAMPLE[:size], keys=[KEY])
    assert b"".join(line.data for line in drawing.lines if line.part == "frame") == EXAMPLE[:size]
    assert stop in {Outcome.MALFORMED, Outcome.WRONG_BINDKEY, Outcome.EMPTY}


def test_an_opened_frame_shows_its_objects_and_not_the_key():
    """The decrypted bytes are a part of their own."""
    drawing, stop = drawn(EXAMPLE, keys=["00" * 16, KEY])
    assert stop is None
    assert drawing.decoded.values == {"humidity": 46.7}
    assert [line.data.hex() for line in drawing.lines if line.part == "decrypted"] == ["0610", "02", "d301"]
    assert KEY not in repr(drawing)


@pytest.mark.parametrize(
    ("keys", "address", "outcome"),
    [
        ((), MAC, Outcome.NO_BINDKEY),
        (("00" * 12,), MAC, Outcome.DOWNGRADED),
        (("00" * 16,), MAC, Outcome.WRONG_BINDKEY),
        ((KEY,), MAC + 1, Outcome.WRONG_MAC),
    ],
)
def test_why_a_frame_cannot_be_opened(keys, address, outcome):
    """Each reason is the outcome that the service would count."""
    assert drawn(EXAMPLE, address, keys)[1] is outcome


def test_an_object_that_is_cut_off_or_unknown_says_so():
    """Beside the objects that are read."""
    body = frames.obj(0x1004, b"\x02\x01") + frames.obj(0x7777, b"ab") + b"\x06\x10\x02\xd3"
    drawing, _ = drawn(frames.frame(0x01AA, 7, body, mac=MAC, version=4))
    meanings = [line.meaning for line in drawing.lines if line.name == "data"]
    assert meanings == ["temperature 25.8 °C", "no such object of LYWSDCGQ here", "cut off"]
