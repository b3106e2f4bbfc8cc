"""What a drawing says where a body stays closed."""

import pytest

from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.drawing import Drawing, StopDrawing
from proxy_listener.formats.format import plain_frame
from proxy_listener.formats.opening import opened
from proxy_listener.formats.xiaomi.models import SCALE_V1
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret

RIGHT, WRONG, SHORT = Secret("ab" * 16), Secret("cd" * 16), Secret("ab" * 12)


def opened_with(keys, address=0xA4C1380283F4):
    frame = plain_frame(SCALE_V1, b"sealed")
    frame.scheme = "ccm"
    right = Bindkey(RIGHT).id

    def open_(_frame, _payload, _address, key):
        return b"body" if key.id == right else None

    return opened(Drawing(address, keys), frame, b"", address, open_, "AES-CCM")


def test_the_key_that_fits_is_found():
    """Wherever it stands among the others."""
    assert opened_with([SHORT, WRONG, RIGHT]) == b"body"


@pytest.mark.parametrize(
    ("keys", "address", "outcome", "reason"),
    [
        ([RIGHT], None, Outcome.NO_BINDKEY, "give it with --mac"),
        ([], 1, Outcome.NO_BINDKEY, "no bindkey of 32 hex digits"),
        ([SHORT], 1, Outcome.DOWNGRADED, "no key is of that length"),
        ([WRONG], 1, Outcome.WRONG_BINDKEY, "1 of the keys given are of the length, none opens it"),
    ],
)
def test_why_it_stays_closed(keys, address, outcome, reason):
    """No address, no key, none of the length, none that fits."""
    with pytest.raises(StopDrawing, match=reason) as stopped:
        opened_with(keys, address)
    assert stopped.value.outcome is outcome
