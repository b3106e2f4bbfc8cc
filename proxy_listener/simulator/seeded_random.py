"""Seeded random generators, one for each purpose: drawing from one does not change the numbers of another."""

from random import Random


def random_for(*names: object) -> Random:
    """A generator seeded with these names: the same names give the same numbers."""
    return Random("/".join(map(str, names)))  # noqa: S311  a simulated house must be repeatable
