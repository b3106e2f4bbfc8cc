"""What is kept of reads that went wrong, and for how long."""

from proxy_listener.model.timing import DAY
from proxy_listener.reads.failures import DISTRUSTED, Failures

PLANT, OTHER, THIRD = 1, 2, 3


def test_a_hang_is_of_one_device():
    """A plant that is out of reach of one proxy says nothing about other plants there."""
    failures = Failures()
    failures.add_hang("kitchen", PLANT, 0.0)
    assert failures.hung("kitchen", PLANT, 60.0) == 60.0
    assert failures.hung("kitchen", OTHER, 60.0) is None
    assert failures.hung("hall", PLANT, 60.0) is None


def test_two_hangs_are_of_the_room():
    """Where reads of two devices hung the proxy counts as hung for all, until one is read through it."""
    failures = Failures()
    failures.add_hang("kitchen", PLANT, 0.0)
    failures.add_hang("kitchen", OTHER, 10.0)
    assert failures.hung("kitchen", THIRD, 60.0) == 50.0
    failures.clear("kitchen", OTHER, 70.0)
    assert failures.hung("kitchen", THIRD, 80.0) is None
    assert failures.hung("kitchen", OTHER, 80.0) is None
    assert failures.hung("kitchen", PLANT, 80.0) == 80.0


def test_hangs_end():
    """A hang is forgotten after a day, so that a device without a schedule is not kept from its best proxy."""
    failures = Failures()
    failures.add_hang("kitchen", PLANT, 0.0)
    assert failures.hung("kitchen", PLANT, DAY) is None


def test_distrust_ends():
    """The reason is given for an hour, and is gone then."""
    failures = Failures()
    failures.distrust("kitchen", "it sent too much", 0.0)
    assert failures.distrusted("kitchen", DISTRUSTED - 1) == "it sent too much"
    assert failures.distrusted("kitchen", DISTRUSTED) == ""
    assert failures.distrusted("hall", 0.0) == ""


def test_renamed_proxies_leave_nothing():
    """What is kept stays small where a proxy takes another name for each read."""
    failures = Failures()
    for day in range(100):
        failures.add(f"proxy-{day}", PLANT, day * DAY)
        failures.add_hang(f"proxy-{day}", PLANT, day * DAY)
        failures.distrust(f"proxy-{day}", "why", day * DAY)
    assert {len(kept) for kept in (failures._noted, failures._hung, failures._distrusted)} == {1}
