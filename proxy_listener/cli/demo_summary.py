"""What the demo says for people: how a read went while it runs, and at the end what became of the frames on air."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from proxy_listener.cli.output import cell
from proxy_listener.cli.rows import values_in_words
from proxy_listener.simulator.comparison import Comparison

NAMED = 5
"""Frames and readings that are named where something is wrong."""

OTHERS = {
    "empty": "frames without a value, which say that a device is there",
    "not_admitted": "frames of a neighbour's sensor, which is in no list",
    "no_bindkey": "frames of a neighbour's sensor, kept until somebody enters its key",
}
"""Outcomes of a simulated house, in words."""

READ_FIRST = ("battery",)
"""Quantities that only a read brings: they are shown first."""


def read_in_words(name: str, result: Mapping[str, Any]) -> list[str]:
    """The result of a read of the API: what it brought, through whom, and why through that one."""
    route = next((one for one in result["candidates"] if one["chosen"]), None)
    if not result["ok"] or route is None:
        return [f"{cell(name)} was not read: {cell(result['detail'])}"]
    values = dict(sorted(result["values"].items(), key=lambda value: value[0] not in READ_FIRST))
    others = (one for one in result["candidates"] if one is not route and one["eligible"])
    why = route["reason"].removeprefix("chosen: ")
    if second := next(others, None):
        why += f"; {second['proxy']} is {second['reason'].removesuffix(' ' + route['proxy'])}"
    return [
        f"read {cell(name)} through {cell(route['proxy'])}: {values_in_words(values, short=True)}",
        f"why: {round(route['rssi'])} dBm, {cell(why)}",
    ]


@attrs.frozen(kw_only=True)
class DemoResult:
    """How the demo went. ``outcomes``: what became of advertisements. ``reads``: what was read, and through whom."""

    comparison: Comparison = attrs.field(kw_only=False)
    live: int
    proxies: int
    outcomes: Mapping[str, int]
    reads: Sequence[str] = ()

    def lines(self) -> Iterator[str]:
        """The summary for people."""
        c, counts = self.comparison, dict(self.outcomes)
        yield f"{self.live} of {self.proxies} proxies sent {sum(counts.values())} advertisements:"
        yield f"{counts.pop('not_ours'):>7} of phones and other devices, which are left alone"
        del counts["decoded"]
        yield f"{c.readings:>7} frames became a reading, of {c.frames} on air and {c.heard} heard in a room"
        yield f"{counts.pop('repeat'):>7} further copies of these frames"
        for outcome, count in counts.items():
            if count:
                yield f"{count:>7} {OTHERS.get(outcome, outcome.replace('_', ' '))}"
        yield f"{len(self.reads):>7} read over a connection" + (f": {', '.join(self.reads)}" if self.reads else "")
        yield from self._wrong()
        yield self.sentence()

    def sentence(self) -> str:
        """Whether the service kept its promise."""
        c = self.comparison
        if c.perfect:
            return "Every frame that any room heard became one reading." if c.heard else "No room heard a frame."
        parts = [(len(c.lost), "heard without a reading"), (len(c.twice), "counted twice")]
        parts.append((len(c.false), "readings without a frame"))
        return "Not every frame became one reading: " + ", ".join(f"{n} {words}" for n, words in parts if n) + "."

    def _wrong(self) -> Iterator[str]:
        for frame in self.comparison.lost[:NAMED]:
            yield f"  without a reading: {frame.mac:012X} counter {frame.counter} {dict(frame.values)}"
        for reading in self.comparison.twice[:NAMED]:
            yield f"  counted twice: {reading.name} counter {reading.counter} {dict(reading.values)}"
        for reading in self.comparison.false[:NAMED]:
            yield f"  without a frame: {reading.name} counter {reading.counter} {dict(reading.values)}"
