"""New, late, repeat or replay? One rule for each way in which a device can be recognised again.

What comes in: of one device, the counter and identity of a frame that has already decoded and, where it has a tag,
verified, and when it was heard (monotonic seconds). What goes out: a :class:`Judgement`. Nothing that failed to
decode comes here, so a forged or damaged frame can mute nothing.

**Why not a counter that must rise.** Every room delivers the same frame, up to four minutes late and out of order;
devices restart at zero or at random after a battery change, wrap, and put two payloads under one counter. A rule that
wants the counter to rise loses frames; one that remembers only the last counter fires A, B, A twice. So here
*identity* decides whether a frame is accepted, once and for ever, and *order* decides only what it may change.

**Authenticated frames** (v4/v5). Identity is (MAC, bindkey, 32-bit counter, tag). Raw bytes are no identity: the header
is not authenticated, and one authentic frame has 1,536 x 256 x 2 variants that all decrypt. The newest identities are
in memory, all others behind ``known``, which asks the history's unique index; so a recorded frame is never accepted
again, whatever happened since. A counter above every one that ever went to history needs no asking, so the disk has no
part in the usual frame. ``hi`` is the highest counter accepted; at or below it a frame is late. A device that
restarted sends only late frames: when ``hi`` has been silent for 120 s and two late frames came with rising counters,
and not in the one burst in which a stalled proxy delivers its backlog, the second of them is the new ``hi``.

**Plain and legacy frames.** Eight bits of counter come round again in nine minutes, so identity is (counter, object
bytes) and lasts 300 s since it was last heard.

**Frames without a counter** (Mi scales, HHCCJCY10). Identity is the payload, and lasts 600 s since it was last heard.

**Products whose counter never moves.** A changed value is accepted when it has been heard for 2 s and nothing
contradicted it; an unchanged one becomes a row every 15 minutes.

``order`` in a judgement is a number that rises with the device's own sequence, for quantities: the value of an older
frame does not replace what a newer one wrote.

The rule's evidence and truth table: facts, dedup-and-replay. Every row of the table is a test.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from proxy_listener.model.timing import NEVER

REPLAY_AFTER = 300.0
"""Seconds: a known frame heard so much later was not delayed by a proxy (the longest stalls seen are minutes)."""

LATE_EVENT_COUNT, LATE_EVENT_SECONDS = 16, 5.0
"""An event that another room's frame overtook still fires, if by so few counters and so little time."""

RESTART_SILENCE = 120.0
RESTART_SPACING = 0.2
"""A proxy's backlog comes in one burst, a restarted device at its own pace."""

PLAIN_TTL = 300.0
PLAIN_DIGESTS = 4
UNCOUNTED_TTL = 600.0
UNCOUNTED_KEPT = 256
NEWEST_KEPT = 64
HOLD = 2.0
HEARTBEAT = 900.0

LASTING = 20.0
"""Seconds for which a device repeats a frame until it counts as one that it goes on with: when such a frame lapses, its
row does not say, and it has to be noted. A frame that was not lapses so much earlier after a restart.
"""

FOREVER = float("inf")
UNHEARD = -(2**31)

_HALF, _ROUND = 2**31, 2**32


def _tenths(heard: float) -> int:
    """Tenths of a second in 32 bits. They come round in 13 years, so that a clock which began in 1970 stops nobody."""
    return (int(heard * 10) + _HALF) % _ROUND - _HALF


def _apart(now: int, then: int) -> int:
    return (now - then + _HALF) % _ROUND - _HALF


Known: TypeAlias = Callable[[bytes], bool]
"""Was the authenticated frame with this identity ever accepted from this device?"""

ANY = 2**32
"""Above every counter: where nobody can say which is the highest, each has to be asked for."""


class Verdict(IntEnum):
    """``NEW`` may change everything, ``LATE`` only what nothing newer wrote; the others are dropped."""

    NEW = 0
    LATE = 1
    REPEAT = 2
    REPLAY = 3
    HELD = 4


class Judgement(NamedTuple):
    """``fires``: its events are to be fired. ``order``: its place in the device's own sequence.

    ``age`` is how many seconds ago a repeated authenticated frame was first heard.
    """

    verdict: Verdict
    order: int = 0
    fires: bool = False
    age: float = 0.0


_new = tuple.__new__  # NamedTuple's own constructor is Python code and takes twice as long

NEW, ACCEPTED = Verdict.NEW, Verdict.LATE
"""The verdicts up to ``ACCEPTED`` are readings. Looking a member up in its enum takes a tenth of a judgement."""

REPEAT = Judgement(Verdict.REPEAT)
REPLAY = Judgement(Verdict.REPLAY, age=float("inf"))
HELD = Judgement(Verdict.HELD)


class Authenticated:
    """The v4/v5 frames of one device under one bindkey.

    An identity is the bindkey's name, the counter and the tag, four bytes each. The newest 64 lie in a ring of two
    arrays of half a kB, without the bindkey's name; as a dict they would cost seven. ``highest``: the highest counter
    of any that went to history; -1 where none did.
    """

    __slots__ = (
        "_epoch",
        "_first_heard",
        "_known",
        "_late_counter",
        "_late_heard",
        "_newest",
        "_next",
        "_top",
        "hi",
        "hi_heard",
    )

    def __init__(self, known: Known, started: float, highest: int = ANY) -> None:
        self.hi = -1
        self.hi_heard = started
        self._known = known
        self._newest = array("Q", [0]) * NEWEST_KEPT
        self._first_heard = array("d", [NEVER]) * NEWEST_KEPT
        self._next = 0
        self._top = highest
        self._epoch = 0
        self._late_counter = -1
        self._late_heard = NEVER

    def restore(self, identity: bytes, counter: int, heard: float, late: bool) -> None:
        """A row of the history, oldest first: on start ``hi`` and the newest identities come from there."""
        self.reserve(counter)
        self._remember(int.from_bytes(identity[4:], "big"), heard)
        if not late:
            self.hi = counter

    def reserve(self, counter: int) -> None:
        """A frame with this counter went to history without coming here."""
        self._top = max(self._top, counter)

    @staticmethod
    def identity(key_id: bytes, counter: int, tag: bytes) -> bytes:
        """What a frame is known by."""
        return key_id + counter.to_bytes(4, "big") + tag

    def judge(self, counter: int, identity: bytes, heard: float) -> Judgement:
        """What a verified frame is. It counts as accepted from now on, unless it is a repeat or a replay."""
        within = int.from_bytes(identity[4:], "big")
        if counter > self._top:
            self._top = counter
        else:
            age = heard - self._heard_first(within)
            if age < FOREVER:
                return Judgement(Verdict.REPEAT if age <= REPLAY_AFTER else Verdict.REPLAY, age=age)
            if self._known(identity):
                return REPLAY
        self._remember(within, heard)
        if counter > self.hi:
            return self._advance(counter, heard)
        if heard - self.hi_heard >= RESTART_SILENCE:
            if not 0 <= self._late_counter < counter:
                self._late_counter, self._late_heard = counter, heard
            elif heard - self._late_heard >= RESTART_SPACING:
                self._epoch += 1
                return self._advance(counter, heard)
        fires = counter >= self.hi - LATE_EVENT_COUNT and heard - self.hi_heard < LATE_EVENT_SECONDS
        return Judgement(Verdict.LATE, self._epoch << 32 | counter, fires)

    def _advance(self, counter: int, heard: float) -> Judgement:
        self.hi, self.hi_heard = counter, heard
        self._late_counter, self._late_heard = -1, NEVER
        return _new(Judgement, (NEW, self._epoch << 32 | counter, True, 0.0))

    def _heard_first(self, within: int) -> float:
        try:
            return self._first_heard[self._newest.index(within)]
        except ValueError:
            return NEVER

    def _remember(self, within: int, heard: float) -> None:
        """``within``: the identity without the bindkey's name, as it lies in the ring."""
        at = self._next
        self._newest[at] = within
        self._first_heard[at] = heard
        self._next = (at + 1) % NEWEST_KEPT


_LASTS = int(LASTING * 10)
"""In tenths of a second, up to which it is counted: it fits a byte."""


def _go_on(lasted: bytearray, place: int, age: int) -> None:
    """The frame in this place was heard again, so many tenths of a second later."""
    lasted[place] = min(_LASTS, lasted[place] + age)


def _lasting(lasted: bytearray) -> Iterator[int]:
    """The places of the frames that their device goes on with: usually none, which is seen at once."""
    place = lasted.find(_LASTS)
    while place >= 0:
        yield place
        place = lasted.find(_LASTS, place + 1)


class Plain:
    """The plain and legacy frames of one device: 256 counters, each with the digests of what it carried lately.

    The newest digest of each counter lies in two arrays of 1 kB, whose times are whole tenths of a second; further
    ones (two payloads under one counter) in a dict. A dict alone would not do: a sensor that steps every two seconds
    keeps 150 of them alive, and a device may cost 10 kB.
    """

    __slots__ = ("_digests", "_heard", "_last", "_last_heard", "_lasted", "_more", "_order")

    def __init__(self) -> None:
        self._digests = array("I", [0]) * 256
        self._heard = array("i", [UNHEARD]) * 256
        self._lasted = bytearray(256)
        self._more: dict[tuple[int, int], tuple[float, float]] = {}
        self._last = 0
        self._last_heard = NEVER
        self._order = 0

    ttl = PLAIN_TTL

    @staticmethod
    def identity(counter: int, digest: int) -> bytes:
        """What a frame is known by."""
        return b"P" + bytes((counter,)) + digest.to_bytes(4, "big")

    def judge(self, counter: int, digest: int, heard: float) -> Judgement:
        """What a decoded frame is; ``digest`` is a 32-bit digest of its object bytes."""
        if self.touch(counter, digest, heard):
            return REPEAT
        self._remember(counter, digest, heard)
        ahead = (counter - self._last) % 256
        if heard - self._last_heard > PLAIN_TTL:
            self._order += 256 + ahead
        elif ahead < 128:
            self._order += ahead
        else:
            behind = 256 - ahead
            fires = behind <= LATE_EVENT_COUNT and heard - self._last_heard < LATE_EVENT_SECONDS
            return Judgement(Verdict.LATE, self._order - behind, fires)
        self._last, self._last_heard = counter, heard
        return _new(Judgement, (NEW, self._order, True, 0.0))

    def touch(self, counter: int, digest: int, heard: float, *, unbroken: bool = False) -> bool:
        """Note another copy; False where the frame is not known, or was last heard too long ago. ``unbroken``: there
        were so many copies in between that it never lapsed.
        """
        if self._digests[counter] == digest and self._heard[counter] != UNHEARD:
            now = _tenths(heard)
            age = _apart(now, self._heard[counter])
            if age > PLAIN_TTL * 10 and not unbroken:
                return False
            if age > 0:
                self._heard[counter] = now
                _go_on(self._lasted, counter, age)
            return True
        if (counter, digest) not in self._more:
            return False
        first, last = self._more[counter, digest]
        if heard - last > PLAIN_TTL and not unbroken:
            return False
        self._more[counter, digest] = first, max(heard, last)
        return True

    def _remember(self, counter: int, digest: int, heard: float, *, lasting: bool = False) -> None:
        now = _tenths(heard)
        age = _apart(now, self._heard[counter])
        if self._heard[counter] != UNHEARD and age <= PLAIN_TTL * 10 and self._digests[counter] != digest:
            same = sorted((last, key) for key, (_, last) in self._more.items() if key[0] == counter)
            if len(same) >= PLAIN_DIGESTS - 1:
                del self._more[same[0][1]]
            last = heard - age / 10
            self._more[counter, self._digests[counter]] = last - self._lasted[counter] / 10, last
            self._forget(heard)
        if self._more:
            self._more.pop((counter, digest), None)
        self._digests[counter], self._heard[counter] = digest, now
        self._lasted[counter] = _LASTS if lasting else 0

    def _forget(self, heard: float) -> None:
        for key in [key for key, (_, last) in self._more.items() if heard - last > PLAIN_TTL]:
            del self._more[key]

    def lasting(self, now: float) -> Iterator[tuple[bytes, float]]:
        """``(identity, last heard)`` of every frame that the device goes on with."""
        for counter in _lasting(self._lasted):
            age = _apart(_tenths(now), self._heard[counter])
            if age <= PLAIN_TTL * 10:
                yield self.identity(counter, self._digests[counter]), now - age / 10
            else:
                self._lasted[counter] = 0
        for (counter, digest), (first, last) in self._more.items():
            if last - first >= LASTING and now - last <= PLAIN_TTL:
                yield self.identity(counter, digest), last

    def restore(self, identity: bytes, heard: float, late: bool, lasting: bool) -> None:
        """A row of the history, oldest first."""
        counter, digest = identity[1], int.from_bytes(identity[2:], "big")
        self._remember(counter, digest, heard, lasting=lasting)
        if not late:
            self._last, self._last_heard = counter, heard


class Uncounted:
    """The frames of one device that has no counter: its last 256 payloads, in a ring of two arrays of 1 kB.

    A scale sends ten different unstable weights a second while somebody stands on it, and another room may deliver all
    of them minutes later: with the last eight only, they would be told twice.
    """

    __slots__ = ("_digests", "_heard", "_lasted", "_next", "_order")

    ttl = UNCOUNTED_TTL

    def __init__(self) -> None:
        self._digests = array("I", [0]) * UNCOUNTED_KEPT
        self._heard = array("i", [UNHEARD]) * UNCOUNTED_KEPT
        self._lasted = bytearray(UNCOUNTED_KEPT)
        self._next = 0
        self._order = 0

    @staticmethod
    def identity(_counter: int, digest: int) -> bytes:
        """What a frame is known by."""
        return b"U" + digest.to_bytes(4, "big")

    def judge(self, counter: int, digest: int, heard: float) -> Judgement:
        """What a decoded payload is; ``digest`` is a 32-bit digest of all its bytes."""
        if self.touch(counter, digest, heard):
            return REPEAT
        self._remember(digest, heard)
        self._order += 1
        return Judgement(Verdict.NEW, self._order, fires=True)

    def touch(self, _counter: int, digest: int, heard: float, *, unbroken: bool = False) -> bool:
        """Note another copy; False where the payload is not known, or was last heard too long ago. ``unbroken``: there
        were so many copies in between that it never lapsed.
        """
        try:
            at = self._digests.index(digest)
        except ValueError:
            return False
        now = _tenths(heard)
        age = _apart(now, self._heard[at])
        if self._heard[at] == UNHEARD or (age > UNCOUNTED_TTL * 10 and not unbroken):
            return False
        if age > 0:
            self._heard[at] = now
            _go_on(self._lasted, at, age)
        return True

    def lasting(self, now: float) -> Iterator[tuple[bytes, float]]:
        """``(identity, last heard)`` of every payload that the device goes on with."""
        for at in _lasting(self._lasted):
            age = _apart(_tenths(now), self._heard[at])
            if age <= UNCOUNTED_TTL * 10:
                yield self.identity(0, self._digests[at]), now - age / 10
            else:
                self._lasted[at] = 0

    def restore(self, identity: bytes, heard: float, _late: bool, lasting: bool) -> None:
        """A row of the history, oldest first."""
        self._remember(int.from_bytes(identity[1:], "big"), heard, lasting=lasting)

    def _remember(self, digest: int, heard: float, *, lasting: bool = False) -> None:
        try:
            at = self._digests.index(digest)
        except ValueError:
            at, self._next = self._next, (self._next + 1) % UNCOUNTED_KEPT
        self._digests[at], self._heard[at] = digest, _tenths(heard)
        self._lasted[at] = _LASTS if lasting else 0


class Constant:
    """The frames of one device whose counter never moves: its value, and a changed one that must prove itself."""

    __slots__ = ("_changed", "_changed_heard", "_digest", "_order", "_row_heard")

    def __init__(self) -> None:
        self._digest: int | None = None
        self._row_heard = NEVER
        self._changed: int | None = None
        self._changed_heard = NEVER
        self._order = 0

    ttl = 0.0
    """Every copy counts: it may be the one that proves a changed value."""

    @staticmethod
    def identity(_counter: int, digest: int) -> bytes:
        """What a frame is known by."""
        return b"C" + digest.to_bytes(4, "big")

    def judge(self, _counter: int, digest: int, heard: float) -> Judgement:
        """What a decoded frame is; ``digest`` is a 32-bit digest of its object bytes."""
        if digest == self._digest:
            self._changed = None
            return self._row(digest, heard) if heard - self._row_heard >= HEARTBEAT else REPEAT
        if self._digest is None:
            return self._row(digest, heard)
        if digest != self._changed:
            self._changed, self._changed_heard = digest, heard
            return HELD
        return self._row(digest, heard) if heard - self._changed_heard >= HOLD else HELD

    def _row(self, digest: int, heard: float) -> Judgement:
        self._digest, self._row_heard, self._changed = digest, heard, None
        self._order += 1
        return Judgement(Verdict.NEW, self._order, fires=True)

    def touch(self, _counter: int, digest: int, _heard: float, *, unbroken: bool = False) -> bool:
        """Whether this is its value."""
        del unbroken
        return digest == self._digest

    def lasting(self, _now: float) -> Iterator[tuple[bytes, float]]:
        """Nothing: its last row says all."""
        return iter(())

    def restore(self, identity: bytes, heard: float, _late: bool, _lasting: bool) -> None:
        """A row of the history, oldest first."""
        self._digest, self._row_heard = int.from_bytes(identity[1:], "big"), heard


Claimed: TypeAlias = Plain | Uncounted | Constant
"""The rules for frames that prove nothing. Each has ``judge``, ``touch``, ``identity``, ``lasting``, ``restore``, and
the ``ttl`` for which the exact bytes of a frame may stand for it."""

CLAIMED: Mapping[bytes, type[Claimed]] = {b"P": Plain, b"U": Uncounted, b"C": Constant}
"""By the first byte of their identities."""
