"""Constants of time that several rooms need. Durations are seconds."""

from typing import Final

NEVER: Final = float("-inf")
"""The time of what has not happened yet."""

DAY: Final = 86_400.0
