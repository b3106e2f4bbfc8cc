"""``python tests/bench``: what listening costs, as a table and as JSON.

Chapters run one after the other; within one, contestants take turns round by round, so that whatever else the machine
does hits all alike, and a figure is the median of its rounds. ``--quick`` takes about six minutes, ``--full`` about
twenty-three; a chapter that would begin after ``--limit`` seconds is left out, and its budgets are not measured.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs
import budgets
import click
import costs
import disk
from mix import Mix
from rounds import COUNTING, OURS, SETTLE, STACK, UNCOALESCED, Round, play
from sharing import SharedRound, play_shared

DISK = {
    "10/s of 100 devices": Mix(proxies=10, rate=100.0, devices=100),
    "1/s of 20 devices": Mix(proxies=5, rate=20.0, devices=20),
}

STRANGERS = 100_000
"""Addresses that are heard once, 10,000 a second."""


@attrs.frozen
class Form:
    """How much is done. ``flat``: rounds of the chapters whose figure is the dearest by the cheapest, where noise only
    ever adds.
    """

    rounds: int
    flat: int
    seconds: float
    micro: int
    proxies: tuple[tuple[int, float], ...]
    devices: tuple[int, ...]
    campus: float
    disk: float


QUICK = Form(2, 1, 6.0, 7, ((5, 20.0), (50, 20.0)), (10, 1000), 0.0, 20.0)
FULL = Form(5, 4, 10.0, 25, ((5, 20.0), (50, 20.0), (500, 10.0), (1000, 10.0)), (10, 100, 1000, 10_000), 20.0, 60.0)


def oracle() -> bool:
    """Whether Home Assistant's stack is installed."""
    try:
        return bool(version("bleak-esphome") and version("xiaomi-ble"))
    except PackageNotFoundError:
        return False


class Bench:
    """Measures chapter by chapter. ``figures`` are numbers by name, ``rounds`` every round that was played."""

    def __init__(self, form: Form, seed: int) -> None:
        self.form = form
        self.seed = seed
        self.figures: dict[str, float] = {}
        self.rounds: list[Round] = []
        self.stack = oracle()

    def chapters(self) -> Iterator[tuple[str, Callable[[], Iterator[str]]]]:
        yield "single steps, us of CPU, best of rounds", self.steps
        yield "50 proxies, 100 devices, 1,000 advertisements/s, real time", self.house
        yield "sharing: 50 proxies, 1,500 advertisements/s, one and four clients a node", self.sharing
        yield "bytes written to the disk for each reading", self.disk
        yield "over devices: 50 proxies, 1,000 advertisements/s", self.over_devices
        yield "over proxies", self.over_proxies
        yield "100,000 random addresses", self.strangers
        yield "idle, 50 proxies", self.idle
        yield "500 Noise connects", self.connects
        if self.form.campus:
            yield "1,000 proxies, 10,000 advertisements/s", self.campus

    def _play(self, contestant: str, mix: Mix, addresses: int = 0) -> Round:
        played = play(contestant, mix, addresses)
        self.rounds.append(played)
        return played

    def steps(self) -> Iterator[str]:
        self.figures |= costs.micro(self.form.micro, oracle=self.stack)
        full = Mix(rate=200.0, seconds=4.0, warm=1.0, seed=self.seed)
        self.figures |= costs.saturated(full, max(3, self.form.micro // 4), oracle=self.stack)
        if self.stack:
            self.figures["HA stack / saturated"] = self.figures["saturated, HA stack"] / self.figures["saturated"]
        for name in [name for name in self.figures if "/" not in name]:
            yield f"{name:<32} {self.figures[name]:8.3f}"

    def house(self) -> Iterator[str]:
        contestants = [COUNTING, *([STACK] if self.stack else []), UNCOALESCED, OURS]
        mix = Mix(seconds=self.form.seconds, seed=self.seed)
        played: dict[str, list[Round]] = {contestant: [] for contestant in contestants}
        for _ in range(self.form.rounds):
            for contestant in contestants:
                played[contestant].append(self._play(contestant, mix))
        base = statistics.median(one.cost for one in played[COUNTING])
        yield f"{'':<20} CPU s/million  ratio   MB  found            p50, p99 of flags; of values"
        for contestant, rounds in played.items():
            cost = statistics.median(one.cost for one in rounds)
            self.figures[f"{contestant} cost"] = cost
            values = sorted(latency for one in rounds for latency in one.latencies)
            urgent = sorted(latency for one in rounds for latency in one.urgent)
            told = "  ".join(f"{_at(those, 0.5):.3f} {_at(those, 0.99):.3f}" for those in (urgent, values) if those)
            yield f"{contestant:<20} {cost:13.1f} {cost / base:6.2f} {rounds[-1].rss:4.0f}  {_found(rounds):<16} {told}"
            if contestant == OURS:
                self.figures |= {
                    "real / count-only": cost / base,
                    "latency p99": _at(urgent, 0.99),
                    "latency of values p99": _at(values, 0.99),
                    "rss": max(one.rss for one in rounds),
                    "first subscription": statistics.median(one.first for one in rounds),
                }
        if self.stack:
            self.figures["HA stack / real"] = self.figures[f"{STACK} cost"] / self.figures[f"{OURS} cost"]

    def sharing(self) -> Iterator[str]:
        """The same house with and without clients of its shared nodes."""
        mix = Mix(rate=30.0, seconds=self.form.seconds, seed=self.seed)
        plain: dict[str, list[Round]] = {COUNTING: [], OURS: []}
        shared: dict[int, list[SharedRound]] = {1: [], 4: []}
        for _ in range(self.form.rounds):
            for contestant, played in plain.items():
                played.append(self._play(contestant, mix))
            for clients, rounds in shared.items():
                rounds.append(play_shared(mix, clients))
        base, ours = (statistics.median(one.cost for one in rounds) for rounds in plain.values())
        yield f"{base:.1f} CPU s/million count-only, {ours:.1f} without sharing"
        for clients, rounds in shared.items():
            cost = statistics.median(one.cost for one in rounds)
            late = sorted(latency for one in rounds for latency in one.latencies)
            found = ", ".join(one.found() for one in rounds)
            self.figures |= {
                f"sharing, {clients} / count-only": (cost - ours) / base,
                f"sharing, {clients}: p99": _at(late, 0.99),
            }
            yield f"{clients} a node: {cost:.1f}, p50 {_at(late, 0.5):.3f}, p99 {_at(late, 0.99):.3f} s, {found} got"
        rss = {clients: statistics.median(one.rss for one in rounds) for clients, rounds in shared.items()}
        self.figures["sharing, KB a client"] = (rss[4] - rss[1]) * 1024 / (3 * mix.proxies)
        self.figures["sharing, lost"] = sum(one.missing for rounds in shared.values() for one in rounds)
        yield f"{rss[1]:.0f} MB and {rss[4]:.0f} MB: {self.figures['sharing, KB a client']:.0f} KB a further client"

    def disk(self) -> Iterator[str]:
        """What a minute writes, and beside it a whole period of the journal with its fold, which a minute has not."""
        for name, mix in DISK.items():
            one = self._play(OURS, attrs.evolve(mix, seconds=self.form.disk, seed=self.seed))
            folded = disk.written(mix.frames / mix.seconds, mix.devices)
            self.figures |= {f"written, {name}": one.written / 1024 / one.mix.frames, f"folded, {name}": folded}
            yield (
                f"{name:<28} {self.figures[f'written, {name}']:.2f} KiB in {one.mix.seconds:g} s of the service, "
                f"{folded:.2f} KiB with the fold, {one.cpu / (one.mix.seconds + SETTLE) * 100:.2f} % of a core, "
                f"{_found([one])}"
            )

    def over_devices(self) -> Iterator[str]:
        mixes = [Mix(devices=devices, seconds=self.form.seconds, seed=self.seed) for devices in self.form.devices]
        yield from self._over("devices", {f"{mix.devices:>6} devices": mix for mix in mixes})

    def over_proxies(self) -> Iterator[str]:
        seconds = self.form.seconds
        mixes = [Mix(proxies=count, rate=rate, seconds=seconds, seed=self.seed) for count, rate in self.form.proxies]
        yield from self._over("proxies", {f"{mix.proxies:>6} proxies, {mix.rate:g}/s each": mix for mix in mixes})

    def _over(self, what: str, mixes: dict[str, Mix]) -> Iterator[str]:
        played: dict[str, list[Round]] = {name: [] for name in mixes}
        for _ in range(self.form.flat):
            for name, mix in mixes.items():
                played[name].append(self._play(OURS, mix))
        costs = {name: statistics.median(one.cost for one in rounds) for name, rounds in played.items()}
        for name, rounds in played.items():
            yield f"{name:<28} {costs[name]:6.1f} us, {rounds[-1].rss:5.0f} MB, {_found(rounds)}"
        self.figures |= {f"cost, {name.strip()}": cost for name, cost in costs.items()}
        found = list(costs.values())
        self.figures[f"flat over {what}"] = max(found) / min(found)
        self.figures[f"more {what}"] = max(cost / min(found[: n + 1]) for n, cost in enumerate(found))

    def strangers(self) -> Iterator[str]:
        seconds = STRANGERS / 10_000
        one = self._play(OURS, Mix(seconds=seconds, warm=1.0, seed=self.seed), addresses=STRANGERS)
        self.figures["strangers rss"] = one.rss - one.rss_before
        yield f"{one.rss - one.rss_before:+.2f} MB, {one.cost:.1f} us each, {_received(one)}"

    def idle(self) -> Iterator[str]:
        one = self._play(OURS, Mix(rate=0.0, seconds=10.0, warm=1.0))
        self.figures["idle"] = one.cpu / (one.mix.seconds + SETTLE) * 100
        yield f"{self.figures['idle']:.2f} % of a core"

    def connects(self) -> Iterator[str]:
        few, many = (self._play(OURS, Mix(proxies=count, rate=0.0, seconds=0.1, warm=0.1)) for count in (1, 500))
        self.figures["500 connects"] = many.connect_cpu - few.connect_cpu
        yield f"{self.figures['500 connects']:.2f} s of CPU, {many.connected - many.first:.2f} s in all"

    def campus(self) -> Iterator[str]:
        one = self._play(OURS, Mix(proxies=1000, rate=10.0, devices=1000, seconds=self.form.campus, seed=self.seed))
        lost = one.expected - one.found + abs(one.sent - (one.received or 0)) + one.dropped
        self.figures |= {"campus cores": one.cpu / self.form.campus, "campus rss": one.rss, "campus lost": lost}
        yield f"{one.cpu / self.form.campus:.2f} cores, {one.rss:.0f} MB, {_found([one])}, {_received(one)}"
        yield f"flags: latency p50 {_at(one.urgent, 0.5):.3f}, p99 {_at(one.urgent, 0.99):.3f} s"

    def document(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
            "seed": self.seed,
            "figures": self.figures,
            "budgets": {
                budget.text: {"limit": budget.limit, "found": self.figures.get(budget.figure), "is": self._is(budget)}
                for budget in budgets.BUDGETS
            },
            "rounds": [
                attrs.asdict(one, filter=lambda field, _: field.name not in {"latencies", "urgent"})
                | {
                    "cost": one.cost,
                    "right": one.right,
                    "p50": _at(one.urgent, 0.5),
                    "p99": _at(one.urgent, 0.99),
                }
                for one in self.rounds
            ],
        }

    def _is(self, budget: budgets.Budget) -> str:
        return budget.judge(self.figures)


def _at(ordered: list[float], part: float) -> float:
    return ordered[int(len(ordered) * part)] if ordered else float("nan")


def _found(rounds: list[Round]) -> str:
    wrong = [one for one in rounds if not one.right]
    if rounds[0].contestant == COUNTING:
        return "all" if not wrong else "NOT ALL"
    found, expected = sum(one.found for one in rounds), sum(one.expected for one in rounds)
    return f"{found} of {expected}" + (f", {len(wrong)} WRONG" if wrong else "")


def _received(one: Round) -> str:
    return f"{one.received} of {one.sent} received, {one.dropped} dropped by the sender"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__.partition("\n")[0])
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="about six minutes")
    form.add_argument("--full", action="store_true", help="about twenty-three (the default)")
    parser.add_argument("--limit", type=float, default=1500.0, metavar="SECONDS", help="begin no chapter after this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE", help="default: bench.json")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    bench = Bench(QUICK if asked.quick else FULL, asked.seed)
    began = time.monotonic()
    click.echo(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    if not bench.stack:
        click.echo("without Home Assistant's stack: pip install '.[oracle]'")
    for title, chapter in bench.chapters():
        click.echo(f"\n{title}")
        if time.monotonic() - began > asked.limit:
            click.echo("  left out: no time")
            continue
        for line in chapter():
            click.echo(f"  {line}")
    click.echo("\nbudgets")
    for line in budgets.lines(bench.figures):
        click.echo(f"  {line}")
    click.echo(f"\n{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}; all figures in {asked.json}")
    asked.json.write_text(json.dumps(bench.document(), indent=1) + "\n")


if __name__ == "__main__":
    main()
