"""Through which proxy to read a device: every candidate, its score, and the reason why it is chosen or not.

What comes in: how each proxy hears the device, each proxy's status, the user's preferences, recent failures. What goes
out: the candidates, best first, at most one of them chosen. Invariant: a proxy that cannot connect is never chosen; a
busy proxy with a much better signal is waited for.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import attrs

from proxy_listener.model.advertisement import PUBLIC, Address
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import INTERNAL, NOT_EXPECTED, Heard, ProxyState, ProxyStatus
from proxy_listener.model.timing import NEVER
from proxy_listener.reads.failures import PROBED_AFTER, Failures

LATELY = 180.0
"""Seconds within which a proxy must have heard the device; habluetooth uses 195 s for connectable devices."""

FAILURE_COST, FAILURE_COST_LIMIT = 12.0, 36.0
"""dB per recent failure: about one wall. Three walls at most, otherwise a proxy would never be chosen again."""

WORTH_WAITING = 20.0
"""dB. If the free proxy is worse than the busy one by this much, connecting through it mostly fails."""

_PREFERRED, _PLAIN, _AVOIDED, _HUNG = 0, 1, 2, 3


@attrs.frozen
class Candidate:
    """One proxy that might read a device.

    ``busy``: eligible, but not now. ``standing``: 0 preferred, 1, 2 avoided, 3 hung lately; it comes before the
    score. ``rssi``: smoothed, dBm, None if it has not heard the device. ``failures``: recent ones with this device,
    decaying. ``missed``: dB for what others heard since. ``round_trip``: seconds that the proxy takes to answer.
    """

    proxy: str
    room: str
    eligible: bool
    busy: bool
    chosen: bool
    standing: int
    score: float | None
    rssi: float | None
    heard_age: float | None
    address_type: int
    slots_free: int | None
    slots_limit: int | None
    failures: float
    reason: str
    missed: float = attrs.field(default=0.0, metadata=INTERNAL)
    round_trip: float = attrs.field(default=0.0, metadata=INTERNAL)


@attrs.frozen
class Situation:
    """What is ranked: one device and the proxies now.

    ``reading``: proxies through which a read runs. ``tried``: proxies that this read has tried, and the error of each.
    ``unheard``: seconds in which the device was connected to us and did not advertise. ``scheduled``: no person waits.
    """

    settings: DeviceSettings
    heard: Sequence[Heard]
    proxies: Sequence[ProxyStatus]
    reading: Collection[str]
    tried: Mapping[str, str]
    failures: Failures
    now: float
    unheard: float = 0.0
    scheduled: bool = False


_NONE_TRIED: Mapping[str, str] = {}


@attrs.define
class ProxyPool:
    """The proxies as all reads see them. ``ask`` returns their status; ``reading``: proxy -> the device being read.

    Asking for the status of all proxies is expensive, so reads that wait share one answer.
    """

    ask: Callable[[], Sequence[ProxyStatus]]
    failures: Failures = attrs.field(factory=Failures)
    reading: dict[str, Address] = attrs.field(factory=dict)
    _asked: float = NEVER
    _proxies: Mapping[str, ProxyStatus] = attrs.field(factory=dict)

    def reserve(self, proxy: str, mac: Address) -> None:
        """A read of the device uses ``proxy`` from now on."""
        self.reading[proxy] = mac

    def release(self, proxy: str, mac: Address) -> None:
        """The device's read does not use ``proxy`` any more. Nothing happens if another read uses it."""
        if self.reading.get(proxy) == mac:
            del self.reading[proxy]

    def proxies(self, now: float, max_age: float = 0.0) -> Mapping[str, ProxyStatus]:
        """The status of the proxies, by name, at most ``max_age`` seconds old."""
        if now - self._asked >= max_age:
            self._asked, self._proxies = now, {proxy.name: self._without_ours(proxy) for proxy in self.ask()}
        return self._proxies

    def _without_ours(self, proxy: ProxyStatus) -> ProxyStatus:
        """``connecting`` without our own connection, which ``reading`` has and which may end before the next answer."""
        return attrs.evolve(proxy, connecting=False) if proxy.connecting and proxy.name in self.reading else proxy

    def situation(
        self,
        settings: DeviceSettings,
        heard: Sequence[Heard],
        proxies: Sequence[ProxyStatus],
        now: float,
        *,
        tried: Mapping[str, str] = _NONE_TRIED,
        unheard: float = 0.0,
        scheduled: bool = False,
    ) -> Situation:
        """What to rank for one device."""
        return Situation(settings, heard, proxies, self.reading, tried, self.failures, now, unheard, scheduled)


def hearing(proxies: Mapping[str, ProxyStatus], heard: Sequence[Heard]) -> list[ProxyStatus]:
    """The proxies that hear a device."""
    return [proxies[one.proxy] for one in heard if one.proxy in proxies]


def rank(situation: Situation, *, patient: bool = True) -> list[Candidate]:
    """The proxies, best first, the chosen one marked. With ``patient``, none is chosen if a much better one is busy."""
    heard = {entry.proxy: entry for entry in situation.heard}
    known = [proxy for proxy in situation.proxies if proxy.state not in NOT_EXPECTED]
    candidates = [_candidate(proxy, heard.get(proxy.name), situation) for proxy in known]
    candidates.sort(key=_order)
    return _choose(candidates, patient)


def chosen(candidates: Sequence[Candidate]) -> Candidate | None:
    """The chosen candidate."""
    return next((candidate for candidate in candidates if candidate.chosen), None)


def worth_waiting(candidates: Sequence[Candidate]) -> bool:
    """None is chosen, but one is busy and may become free."""
    return chosen(candidates) is None and any(candidate.busy for candidate in candidates)


def able(proxy: ProxyStatus, settings: DeviceSettings) -> bool:
    """Whether this proxy can read the device, now or when it is free, if it hears it."""
    return proxy.state is ProxyState.LIVE and bool(proxy.active) and (not settings.only or proxy.name in settings.only)


def free(proxy: ProxyStatus, reading: Collection[str]) -> bool:
    """Whether this proxy can read any device now."""
    return proxy.state is ProxyState.LIVE and bool(proxy.active) and not _busy(proxy, reading)


def _order(candidate: Candidate) -> tuple[bool, int, float, str]:
    score = candidate.score if candidate.score is not None else -1000.0
    return not candidate.eligible, candidate.standing, -score, candidate.proxy


def _candidate(proxy: ProxyStatus, heard: Heard | None, situation: Situation) -> Candidate:
    failures = situation.failures.weight(proxy.name, situation.settings.mac, situation.now)
    out = _unfit(proxy, heard, situation)
    busy = "" if out else _busy(proxy, situation.reading)
    return Candidate(
        proxy=proxy.name,
        room=proxy.room,
        eligible=not out,
        busy=bool(busy),
        chosen=False,
        standing=_standing(proxy.name, situation),
        score=None if heard is None else heard.rssi - heard.missed - min(failures * FAILURE_COST, FAILURE_COST_LIMIT),
        rssi=None if heard is None else heard.rssi,
        heard_age=None if heard is None else heard.age,
        address_type=PUBLIC if heard is None else heard.address_type,
        slots_free=proxy.slots_free,
        slots_limit=proxy.slots_limit,
        failures=failures,
        reason=out or busy,
        missed=0.0 if heard is None else heard.missed,
        round_trip=proxy.round_trip,
    )


def _standing(proxy: str, situation: Situation) -> int:
    settings = situation.settings
    hung = situation.failures.hung(proxy, settings.mac, situation.now)
    if hung is not None and not (situation.scheduled and hung >= PROBED_AFTER):
        return _HUNG
    if proxy in settings.avoid:
        return _AVOIDED
    return _PREFERRED if proxy in settings.prefer else _PLAIN


def _unfit(proxy: ProxyStatus, heard: Heard | None, situation: Situation) -> str:
    """Why this proxy cannot read the device; empty if it can."""
    only = situation.settings.only
    if only and proxy.name not in only:
        return f"not among the device's only = {', '.join(only)}"
    if proxy.name in situation.tried:
        return f"tried just now: {situation.tried[proxy.name]}"
    if why := situation.failures.distrusted(proxy.name, situation.now):
        return f"not used for reads for an hour: {why}"
    if proxy.state is not ProxyState.LIVE:
        return f"its stream is not live ({proxy.state}): {proxy.cause}" if proxy.cause else f"it is {proxy.state}"
    if not proxy.active:
        return "passive: cannot connect to devices"
    if heard is None:
        return "does not hear the device"
    if heard.age > LATELY + situation.unheard:
        return f"last heard the device {heard.age:.0f} s ago, more than {LATELY:.0f} s"
    return ""


def _busy(proxy: ProxyStatus, reading: Collection[str]) -> str:
    """Why this proxy cannot connect now; empty if it can."""
    if proxy.name in reading or proxy.connecting:
        return "another read is running through it"
    if proxy.slots_free == 0:
        return f"no free connection slot (0 of {proxy.slots_limit})"
    return ""


def _choose(ranked: list[Candidate], patient: bool) -> list[Candidate]:
    eligible = [candidate for candidate in ranked if candidate.eligible]
    ready = [candidate for candidate in eligible if not candidate.busy]
    winner = ready[0] if ready else None
    if patient and winner is not None and _far_behind(winner, eligible[0]):
        winner = None
    waiting = eligible[0] if winner is None and patient and eligible else None
    return [_explained(candidate, winner, waiting, len(eligible)) for candidate in ranked]


def _far_behind(candidate: Candidate, best: Candidate) -> bool:
    if candidate.standing != best.standing:
        return True
    return _score(best) - _score(candidate) >= WORTH_WAITING


def _score(candidate: Candidate) -> float:
    return -1000.0 if candidate.score is None else candidate.score


def _explained(candidate: Candidate, winner: Candidate | None, waiting: Candidate | None, eligible: int) -> Candidate:
    if not candidate.eligible:
        return candidate
    parts = [candidate.reason] if candidate.reason else []
    if candidate is winner:
        parts = [f"chosen: {_advantage(candidate, eligible)}"]
    elif candidate is waiting:
        parts.append("worth waiting for a short while")
    elif (first := winner or waiting) is not None:
        parts.append(_behind(candidate, first))
    if candidate.missed >= 1.0:
        parts.append(f"others heard it since, which costs {candidate.missed:.0f} dB")
    if candidate.failures >= 0.1:
        cost = min(candidate.failures * FAILURE_COST, FAILURE_COST_LIMIT)
        parts.append(f"recent failures here cost {cost:.0f} dB")
    return attrs.evolve(candidate, chosen=candidate is winner, reason="; ".join(parts))


def _advantage(candidate: Candidate, eligible: int) -> str:
    if candidate.standing == _PREFERRED:
        return "preferred by the configuration"
    if eligible == 1:
        return "the only one that can"
    if candidate.standing == _HUNG:
        return "reads through all others hung, too"
    return f"best of {eligible} that can connect"


def _behind(candidate: Candidate, first: Candidate) -> str:
    if candidate.standing == _HUNG > first.standing:
        return "a read through it hung; a scheduled read tries it again"
    if candidate.standing > first.standing:
        return "avoided by the configuration" if candidate.standing == _AVOIDED else f"{first.proxy} is preferred"
    lead = _score(first) - _score(candidate)
    return f"{lead:.0f} dB behind {first.proxy}" if lead >= 0 else f"{-lead:.0f} dB ahead of {first.proxy}"
