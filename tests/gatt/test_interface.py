"""What all readers share: entries of a log are stored once, and what was covered survives as text."""

import pytest

from proxy_listener.gatt.interface import Answer, LogProgress, LogReport, covered_from, covered_text
from proxy_listener.gatt.lywsd02_log import CoveredRecords

HOUR = 3600


@pytest.mark.parametrize(
    ("time", "known"), [(7200.0, True), (5401.0, True), (8999.0, True), (5399.0, False), (9001.0, False)]
)
def test_an_entry_near_a_stored_one_is_known(time, known):
    """Within half an interval, on either side; otherwise it is stored at its own time."""
    stored = []
    progress = LogProgress(0.0, lambda at, values: stored.append((at, values)), times=[90_000.0, 7200.0])
    progress.add(time, {"moisture": 21}, HOUR)
    assert stored == ([] if known else [(time, {"moisture": 21})])
    assert (progress.known, progress.stored, progress.done) == (int(known), int(not known), 1)


def test_invented_entries_are_bounded():
    """Of 10,000 entries a second apart no more than two an hour are stored, in whatever order they come."""
    stored = []
    progress = LogProgress(0.0, lambda at, _values: stored.append(at))
    for second in range(10_000):
        progress.add(float(second * 7919 % 10_000), {"moisture": 21}, HOUR)
    assert 2 <= len(stored) <= 2 * 10_000 // HOUR + 1
    assert progress.done == 10_000


def test_a_download_is_complete_when_all_entries_are_handled():
    """The end of the log is not enough while an entry is missing."""
    progress = LogProgress(0.0, lambda *_: None, wanted=3, stored=1, skipped=1, complete=True)
    assert progress.report() == LogReport(3, 1, 0, 1, complete=False)
    progress.known = 1
    assert progress.report() == LogReport(3, 1, 1, 1, complete=True)


def test_what_was_covered_is_text():
    """The text gives the same value again."""
    covered = CoveredRecords(3, 90, 1_700_000_000)
    assert covered_from(CoveredRecords, covered_text(covered)) == covered


@pytest.mark.parametrize("text", [None, "", "null", "[1]", "{}", '{"first": 1, "newest": "x", "seconds": 2}'])
def test_a_damaged_text_covers_nothing(text):
    """Then everything is fetched again."""
    assert covered_from(CoveredRecords, text) is None


def test_firmware_of_an_answer():
    """It is the text under that name, if there is one."""
    assert Answer({"firmware": "3.2.1"}).firmware == "3.2.1"
    assert Answer({"battery": 7}).firmware is None
