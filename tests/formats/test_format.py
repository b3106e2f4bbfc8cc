"""What every format gives the engine, held against each row of the table."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.formats import FORMATS
from proxy_listener.formats.drawing import Drawing, StopDrawing
from proxy_listener.formats.format import plain_frame
from proxy_listener.formats.xiaomi.models import HHCCJCY10
from proxy_listener.model.errors import DecodeError

UUIDS = st.sampled_from(sorted(FORMATS))
MAC = 0xA4C1380283F4


@given(
    UUIDS, st.binary(max_size=40) | st.sampled_from([8, 9, 10, 13]).flatmap(lambda n: st.binary(min_size=n, max_size=n))
)
def test_any_payload_has_a_frame_or_a_decode_error(uuid, payload):
    """A plain frame with a body can be read; an encrypted one has a tag if its scheme has one."""
    form = FORMATS[uuid]
    try:
        frame = form.parse(payload, None)
        assert (len(frame.tag) == 4) is (frame.scheme == "ccm")
        assert frame.scheme == "plain" or form.open is not None
        assert frame.counter is None or 0 <= frame.counter < 2**32
        if frame.body and frame.scheme == "plain":
            values, _, _ = form.read(frame.body, frame.model, False)
            assert all(isinstance(name, str) for name in values)
    except DecodeError:
        pass


@given(UUIDS, st.binary(max_size=40))
def test_any_payload_can_be_drawn(uuid, payload):
    """As far as it can be read; every byte that is drawn is the payload's."""
    drawing = Drawing(MAC, ())
    with suppress(DecodeError, StopDrawing):
        FORMATS[uuid].draw(drawing, payload, 0)
    for line in drawing.lines:
        assert payload[line.offset : line.offset + len(line.data)] == line.data


@pytest.mark.parametrize("uuid", sorted(FORMATS))
def test_no_format_fits_an_empty_payload(uuid):
    """Service data without its UUID is recognised by what is in it."""
    assert not FORMATS[uuid].fits(b"")


def test_a_frame_of_a_format_without_counter_and_encryption():
    """Its payload is its body, and it is believed as far as a plain frame is."""
    frame = plain_frame(HHCCJCY10, b"123456789")
    assert (frame.model, frame.body, frame.scheme) == (HHCCJCY10, b"123456789", "plain")
    assert (frame.counter, frame.tag, frame.mac, frame.silent) == (None, b"", None, False)
