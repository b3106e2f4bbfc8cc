"""Generators of chance, each named after what it is for, so that one's use never moves another's numbers."""

from random import Random


def random_for(*names: object) -> Random:
    """The generator of that name: the same name, the same numbers."""
    return Random("/".join(map(str, names)))  # noqa: S311  a simulated house must be repeatable
