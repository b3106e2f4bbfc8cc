"""Failed tags, by proxy."""

from proxy_listener.engine.budget import BURST, PROXIES, RATE, TELL_AGAIN, Budgets


def test_a_proxy_may_fail_fifty_times_and_then_ten_times_a_second():
    budgets, tried = Budgets(), 0
    for n in range(100_000):
        heard = n / 10_000
        if not budgets.spent("rogue", heard):
            tried += 1
            budgets.charge("rogue", heard)
    assert tried <= BURST + RATE * 10 + 1


def test_one_proxys_failures_cost_no_other_room():
    budgets = Budgets()
    for _ in range(1000):
        budgets.charge("rogue", 0.0)
    assert budgets.spent("rogue", 0.0)
    assert not budgets.spent("kitchen", 0.0)


def test_a_flood_that_comes_and_goes_is_told_once_in_ten_minutes():
    budgets = Budgets()
    assert sum(budgets.to_tell(float(second)) for second in range(3600)) == 3600 / TELL_AGAIN


def test_renamed_proxies_do_not_gather():
    budgets = Budgets()
    for n in range(10 * PROXIES):
        budgets.charge(f"rogue-{n}", float(n))
    assert len(budgets._buckets) == PROXIES
