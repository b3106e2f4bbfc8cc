"""What the demo says at its end, and of a read."""

import attrs
import pytest
from support.control_service import reading

from proxy_listener.cli.demo_summary import DemoResult, read_in_words
from proxy_listener.simulator.comparison import Comparison
from proxy_listener.simulator.ground_truth import SentFrame

PERFECT = "Every frame that any room heard became one reading."
FRAME = SentFrame(0xA4C1380283F4, 1.0, 7, {"temperature": 21.3}, (), b"")
GOOD = Comparison(frames=9, heard=8, readings=8, lost=(), twice=(), false=())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, PERFECT),
        ({"heard": 0}, "No room heard a frame."),
        ({"lost": (FRAME,)}, "Not every frame became one reading: 1 heard without a reading."),
        (
            {"twice": (reading(1), reading(2)), "false": (reading(3),)},
            "Not every frame became one reading: 2 counted twice, 1 readings without a frame.",
        ),
    ],
)
def test_the_last_sentence_promises_only_what_happened(changes, sentence):
    outcomes = {"not_ours": 5, "decoded": 8, "repeat": 30, "empty": 0, "not_admitted": 2}
    result = DemoResult(attrs.evolve(GOOD, **changes), live=2, proxies=2, outcomes=outcomes)
    lines = list(result.lines())
    assert lines[-1] == sentence
    assert lines[0] == "2 of 2 proxies sent 45 advertisements:"
    assert "      2 frames of a neighbour's sensor, which is in no list" in lines
    assert sum(int(line.split()[0]) for line in lines[1:5]) == 45


def test_a_read_that_failed_is_said_with_its_cause():
    result = {"ok": False, "detail": "every route failed", "candidates": [], "values": {}}
    assert read_in_words("Hall plant", result) == ["Hall plant was not read: every route failed"]
