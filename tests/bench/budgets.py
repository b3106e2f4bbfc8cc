"""The budgets, and whether they are met.

In: what was measured, by name. Out: one line for each budget. The rule of this file: a figure that was not measured
neither meets nor misses its budget.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import attrs

Met = Literal["met", "not met", "not measured"]


@attrs.frozen
class Budget:
    """``figure`` may be at most, or where ``least`` is true at least, ``limit``."""

    figure: str
    text: str
    limit: float
    unit: str = ""
    least: bool = False

    def judge(self, figures: Mapping[str, float]) -> Met:
        if self.figure not in figures:
            return "not measured"
        within: Callable[[float, float], bool] = operator.ge if self.least else operator.le
        return "met" if within(figures[self.figure], self.limit) else "not met"

    def line(self, figures: Mapping[str, float]) -> str:
        found = f"{figures[self.figure]:.3g}" if self.figure in figures else "-"
        sign = ">=" if self.least else "<="
        limit = f"{sign} {self.limit:g} {self.unit}".rstrip()
        return f"{self.judge(figures):<13} {found:>8}  {limit:<12} {self.text}"


BUDGETS = (
    Budget("real / count-only", "whole process at real rates, beside count-only aioesphomeapi", 0.9, "x"),
    Budget("HA stack / real", "whole process at real rates, times less than the HA stack", 3.0, "x", least=True),
    Budget("latency p99", "p99 from the air to the committed flag or event", 0.350, "s"),
    Budget("latency of values p99", "p99 from the air to the committed value, [history] commit included", 2.350, "s"),
    Budget("sharing, 1 / count-only", "more CPU with one client a shared node, beside count-only", 0.5, "x"),
    Budget("sharing, 4 / count-only", "more CPU with four clients a shared node, beside count-only", 1.5, "x"),
    Budget("sharing, 1: p99", "p99 from the proxy to a client of its shared node", 0.060, "s"),
    Budget("sharing, KB a client", "memory of a client of a shared node", 100.0, "KB"),
    Budget("sharing, lost", "advertisements that a client of a shared node did not get", 0.0),
    Budget("written, 10/s of 100 devices", "written to the disk for each reading, 10/s", 1.5, "KiB"),
    Budget("folded, 10/s of 100 devices", "the same with the fold", 1.5, "KiB"),
    Budget("written, 1/s of 20 devices", "written to the disk for each reading, 1/s", 6.0, "KiB"),
    Budget("folded, 1/s of 20 devices", "the same with the fold", 6.0, "KiB"),
    Budget("HA stack / saturated", "saturated, in-process: times the HA stack's throughput", 3.0, "x", least=True),
    Budget("encrypted frame", "decoding an encrypted frame", 2.5, "us"),
    Budget("plain frame", "decoding a plain frame", 1.0, "us"),
    Budget("foreign advertisement", "letting a foreign advertisement go", 0.35, "us"),
    Budget("repeat", "letting a repeat go", 0.6, "us"),
    Budget("campus cores", "1,000 proxies, 10,000 advertisements/s: cores", 1.0),
    Budget("campus rss", "1,000 proxies, 10,000 advertisements/s: memory", 150.0, "MB"),
    Budget("campus lost", "1,000 proxies, 10,000 advertisements/s: lost", 0.0),
    Budget("500 connects", "500 Noise connects, CPU", 1.0, "s"),
    Budget("rss", "50 proxies, 100 devices: memory", 65.0, "MB"),
    Budget("first subscription", "start to first subscription", 1.5, "s"),
    Budget("idle", "idle, 50 proxies: share of a core", 0.15, "%"),
    Budget("strangers rss", "100,000 random addresses: more memory", 1.0, "MB"),
    Budget(
        "more proxies", "cost per advertisement: most it rises from one number of proxies to a greater one", 1.2, "x"
    ),
    Budget("flat over devices", "cost per advertisement: dearest / cheapest number of devices", 1.2, "x"),
)


def lines(figures: Mapping[str, float]) -> Iterator[str]:
    """For people: every budget."""
    for budget in BUDGETS:
        yield budget.line(figures)
