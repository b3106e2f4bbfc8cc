"""The token bucket: burst, rate, debt, and clocks that go backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.model.rate import GUESSERS, GuessLimit, TokenBucket


def test_burst_then_rate():
    """Two at once, then one every two seconds."""
    bucket = TokenBucket(0.5, 2.0, 0.0)
    assert [bucket.take(now) for now in (0.0, 0.0, 0.0, 1.0, 2.0, 3.0)] == [True, True, False, False, True, False]


def test_available_takes_no_token():
    """Any number of calls of ``available`` leaves the only token; ``spend`` takes it for a second."""
    bucket = TokenBucket(1.0, 1.0, 0.0)
    assert [bucket.available(0.0) for _ in range(3)] == [True] * 3
    bucket.spend()
    assert not bucket.available(0.5)
    assert bucket.available(1.0)


def test_debt_is_repaid_before_a_token_is_available():
    """Three tokens spent from a burst of one leave a debt of two, which takes three seconds to become a token."""
    bucket = TokenBucket(1.0, 1.0, 0.0)
    for _ in range(3):
        bucket.spend()
    assert not bucket.available(2.5)
    assert bucket.available(3.0)


@given(st.lists(st.floats(-5.0, 5.0), max_size=50))
def test_no_clock_gives_more_than_burst_and_rate(steps):
    """The tokens given are at most the burst and the rate times all forward steps, also if the clock goes backwards."""
    bucket, now, taken = TokenBucket(1.0, 3.0, 0.0), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now)
    assert taken <= 3.0 + sum(step for step in steps if step > 0.0) + 1e-6


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("10.0.0.9", "::ffff:10.0.0.9", "10.0.0.8"),
        ("2001:db8::1", "2001:db8::ffff:ffff:1", "2001:db8:0:1::1"),
        ("fe80::1%eth0", "fe80::2%eth0", "10.0.0.9"),
    ],
)
def test_wrong_tokens_are_limited_by_network(first, same, other):
    """Ten at once, then one in ten seconds; the limit is reported once; another network is not concerned."""
    limit = GuessLimit()
    assert [limit.wrong(first, 100.0) for _ in range(11)] == [False] * 9 + [True, False]
    assert (limit.allowed(first, 100.0), limit.allowed(other, 100.0)) == (False, True)
    assert not limit.allowed(same, 100.0)
    assert limit.allowed(first, 110.1)


def test_the_addresses_of_wrong_tokens_are_bounded():
    """The oldest is forgotten."""
    limit = GuessLimit()
    for number in range(1000):
        limit.wrong(f"10.1.{number // 256}.{number % 256}", 100.0)
    assert len(limit._buckets) == GUESSERS
