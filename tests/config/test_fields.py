"""Single values of devices.toml."""

import pytest
from cattrs import IterableValidationError, transform_error
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.config import fields
from proxy_listener.config.fields import FieldError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50ms", 0.05), ("10 s", 10.0), ("5m", 300.0), ("1.5h", 5400.0), ("2w", 1_209_600.0), ("0", 0.0), (0, 0.0)],
)
def test_a_duration_is_seconds(text, seconds):
    """In every unit; zero needs none."""
    assert fields.duration(text, float) == pytest.approx(seconds)


@given(st.text(max_size=20))
def test_a_duration_is_finite_and_not_negative(text):
    """Any other text is refused."""
    try:
        assert 0 <= fields.duration(text, float) <= 36_500 * 86_400
    except FieldError:
        return


@pytest.mark.parametrize(("text", "size"), [("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("2TB", 2 * 10**12)])
def test_a_size_is_bytes(text, size):
    """Units are decimal."""
    assert fields.size(text, int) == size


def test_a_list_reports_every_wrong_item_with_its_index_from_one():
    """The error is cattrs's own, so that it can be shown with the place of the list."""
    with pytest.raises(IterableValidationError) as caught:
        fields.listed(["A4:C1:38:02:83:F4", 5, "x"], lambda item: fields.mac(item, None))
    assert transform_error(caught.value, "only", lambda error, _: str(error)) == [
        "expected text in quotes, found a number @ only[2]",
        'expected a MAC such as "A4:C1:38:02:83:F4" @ only[3]',
    ]


@pytest.mark.parametrize(
    ("word", "words"),
    [("accpt", ', did you mean "accept"?'), ("ACCEPT", ', did you mean "accept"?'), ("zzz", "")],
)
def test_a_misspelled_word_is_recognised(word, words):
    """In any case; a word that is like no other gives nothing."""
    assert fields.meant(word, ("accept", "interfaces")) == words


def test_text_that_looks_like_a_key_is_masked():
    """Bindkeys and Noise keys; control characters are replaced."""
    assert fields.shown(f"a {'5a' * 16} b {'Xy/' * 14}x= c\x1b") == "a *** b *** c?"
