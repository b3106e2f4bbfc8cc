"""The limit of frames with a wrong tag."""

from proxy_listener.engine.failed_tags import EXPECTED, OTHER, PROXIES, REPORT_AGAIN, FailedTags


def fail(failed: FailedTags, proxy: str, heard: float, payload: bytes = b"", *, expected: bool = False) -> bool:
    """A frame with a wrong tag arrives. Whether it was tried."""
    if failed.failed(payload, heard) or failed.exhausted(proxy, heard, payload, expected=expected):
        return False
    failed.count(proxy, heard, payload, 1, expected=expected)
    return True


def test_ten_years_pass_in_the_mean_until_a_tag_is_guessed_whatever_the_number_of_proxies():
    """R6: fifty proxies push 2,000 frames a second for 100 s, with expected counters and others in turn."""
    failed, tried = FailedTags(0.0), 0
    for n in range(200_000):
        tried += fail(failed, f"rogue{n % 50}", n / 2_000, n.to_bytes(4, "big"), expected=n % 2 == 0)
    assert tried <= EXPECTED[1] + OTHER[1] + (EXPECTED[0] + OTHER[0]) * 100 + 2
    assert 2**32 / (EXPECTED[0] + OTHER[0]) >= 10 * 365.25 * 86_400


def test_the_failures_of_one_proxy_cost_no_other_room():
    """The last half of the budget is for proxies that brought no failed tag lately."""
    failed, tried = FailedTags(0.0), 0
    for n in range(99_999):
        tried += fail(failed, "rogue", n / 10_000, n.to_bytes(4, "big"))
        assert not failed.exhausted("kitchen", n / 10_000, b"", expected=False)
    assert tried <= OTHER[1] / 2 + OTHER[0] * 10 + 1


def test_a_flood_of_other_counters_costs_the_expected_ones_nothing():
    """The two budgets are apart, also for a proxy that brought the flood."""
    failed = FailedTags(0.0)
    for n in range(1000):
        fail(failed, "rogue", 0.0, n.to_bytes(4, "big"))
    assert not failed.exhausted("rogue", 0.0, b"", expected=True)


def test_a_frame_that_a_proxy_hears_again_may_use_the_last_half():
    """Forged frames that are sent once use up the first half only."""
    failed = FailedTags(0.0)
    for n in range(1000):
        fail(failed, "hall", 0.0, n.to_bytes(4, "big"), expected=True)
    assert failed.exhausted("hall", 0.0, b"press", expected=True)
    assert not failed.exhausted("hall", 0.03, b"press", expected=True)


def test_copies_of_a_failed_frame_are_not_tried_again_for_two_seconds():
    """Eight rooms hear one forged frame: it costs one token. Of failed frames the newest 256 are remembered."""
    failed = FailedTags(0.0)
    assert [fail(failed, f"room{n}", n / 10, b"forged") for n in range(8)] == [True] + [False] * 7
    assert fail(failed, "room0", 2.5, b"forged")
    for n in range(1000):
        failed.count("rogue", 3.0, n.to_bytes(4, "big"), 1, expected=True)
    assert len(failed._failed) == 256


def test_a_flood_that_comes_and_goes_is_reported_once_in_ten_minutes():
    """Asked every second for an hour, a report is due six times."""
    failed = FailedTags(0.0)
    assert sum(failed.report_due(float(second)) for second in range(3600)) == 3600 / REPORT_AGAIN


def test_renamed_proxies_do_not_accumulate():
    """The number of proxies that are remembered is bounded."""
    failed = FailedTags(0.0)
    for n in range(10 * PROXIES):
        failed.count(f"rogue-{n}", float(n), b"", 1, expected=True)
    assert len(failed._last) == PROXIES
