"""Documents of the API in words."""

import pytest

from proxy_listener.cli.rows import log_in_words


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"stored": 300, "known": 0, "skipped": 0, "complete": True}, "log of 300 entries: 300 new, 0 known"),
        (
            {"stored": 20, "known": 99, "skipped": 1, "complete": False},
            "log of 300 entries: 20 new, 99 known, 1 unusable; not complete, the next one goes on from there",
        ),
    ],
)
def test_what_was_fetched_of_a_log_is_told(log, words):
    """Whether it is all, and what is new."""
    assert log_in_words({"count": 300, **log}) == words
