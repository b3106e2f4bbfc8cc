"""Seeded random generators."""

from proxy_listener.simulator.seeded_random import random_for


def test_the_same_names_give_the_same_numbers():
    """And other names others."""
    assert random_for("a", 1).random() == random_for("a", 1).random()
    assert len({random_for(*names).random() for names in (("a", 1), ("a", 2), ("b", 1), ("a",))}) == 4


def test_drawing_from_one_generator_leaves_the_others_alone():
    """Each has a state of its own."""
    expected = random_for("b").random()
    first, second = random_for("a"), random_for("b")
    first.random()
    assert second.random() == expected
