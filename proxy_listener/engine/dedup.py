"""The duplicate rule: is a frame new, late, a repeat or a replay?

What comes in: of one device, the counter and identity of a frame that has already decoded and, where it has a tag,
verified, and when it was heard (monotonic seconds). What goes out: a :class:`Judgement`. A frame that failed to decode
does not come here, so a forged or damaged frame cannot make a real one look known.

This is the only module that knows the bytes of an identity, and every duration of the rule stands here.

**Why no counter that must rise.** Every room delivers the same frame, up to four minutes late and out of order. Devices
restart at zero or at random after a battery change, wrap, and put two payloads under one counter. A rule that wants the
counter to rise loses frames; a rule that remembers only the last counter accepts A, B, A twice. So *identity* decides
whether a frame is accepted, once, and *order* decides only what it may change.

**Authenticated frames.** Identity is (MAC, bindkey, 32-bit counter, tag). The raw bytes are no identity: the header is
not authenticated, and one authentic frame has 1,536 x 256 x 2 variants that all decrypt. The newest identities are in
memory, all others in the history's unique index, which ``known`` asks. So a recorded frame is never accepted again. A
counter above every one that ever went to history needs no query, so the disk has no part in the usual frame. ``hi`` is
the highest counter accepted; at or below it a frame is late, unless the device restarted. Late, restarted, and recorded
where no proxy heard it: these look alike, and a wrong answer costs more for a lock than for a button. So when a counter
below ``hi`` becomes ``hi`` depends on the kind of device (:class:`Restart`):

=========== ====================================================== ====================================================
device      counter below 256                                      other counter
=========== ====================================================== ====================================================
with events at once, if ``hi`` was silent for 10 s and no proxy's  as other devices
            delay explains the frame
lock,       as other devices                                       ``hi`` silent for 120 s, and a frame 30 min after
door, leak                                                         the first of the rising counters
other       ``hi`` silent for 120 s, and the second of two rising  the same
            counters, not in one burst (a stalled proxy's backlog)
=========== ====================================================== ====================================================

**Plain and legacy frames.** A counter of eight bits comes round in nine minutes, so identity is (counter, body), and
lasts for 300 s after the frame was last heard. Anyone can send such a frame with any counter, so the time of hearing
decides which of two is newer. The counter decides only within 5 s and 16 steps, where rooms overtake each other; such a
late frame fires its events all the same.

**Frames without a counter** (Mi scales, HHCCJCY10). Identity is the payload, and lasts for 600 s after it was last
heard; of formats that may have a counter and leave it out, 300 s.

**Two formats under one address.** Each format of a device has a stream and an order of its own, because each counts by
itself. ``mark`` in an identity is the format's; Xiaomi's have none.

**Unchanged values.** A counter that comes round within 300 s keeps its frames known for as long as the values stay. So
a known frame that proves nothing is a reading again 15 minutes after its last one, if it is ``steady``: it holds only
values that last, no event and no weighing.

**Products whose counter never moves.** A changed value is accepted when it has been heard for 2 s and nothing
contradicted it; an unchanged value becomes a reading every 15 minutes.

**After a restart** the newest rows of the history are the known frames. Those that prove nothing count as heard at the
start, because a row has only the time of its first copy: a device that goes on repeating a frame makes no second
reading, and at worst one frame whose counter came round with the same bytes is missed.

``order`` in a judgement rises with the device's own sequence: the value of an older frame does not replace what a newer
one wrote. Evidence and truth table: docs/protocol/deduplication.md; every row of the table is a test.

::

    authenticated identity   [bindkey id: 4, the last byte XOR mark][counter: 4, big endian][tag: 4]
    claimed identity         "P" [counter: 1][CRC-32 of the body: 4]       plain and legacy, with a counter
                             "U" [CRC-32 of the payload: 4]                without a counter
                             "C" [CRC-32 of the body: 4]                   with a counter that never moves
                             "p" [mark: 1][counter: 1][CRC-32: 4]          of another format, with a counter
                             "u" [mark: 1][CRC-32: 4]                      of another format, without one
"""

from array import array
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from proxy_listener.model.timing import NEVER

REPLAY_AFTER = 300.0
"""Seconds: a known frame heard so much later was not delayed by a proxy (the longest stalls seen are minutes)."""

SAME_MOMENT = 2.0
"""Seconds after its first copy in which a copy of an authenticated frame says where the device is. Proxies deliver
within 0.2 s; a later copy may be a replay from somewhere else."""

LATE_EVENT_COUNT, LATE_EVENT_SECONDS = 16, 5.0
"""An event that another room's frame overtook still fires, if by so few counters and so little time."""

LOW_COUNTER = 256
"""A device whose counter restarted at zero stays below it for its first frames."""

NEW_BATTERY = 10.0
"""Seconds: nobody changes a battery in less."""

RESTART_SILENCE = 120.0
RESTART_SPACING = 0.2
"""A proxy's backlog comes in one burst, a restarted device at its own pace."""

RESTART_SHOWN = 1800.0
"""Seconds for which the restart of a lock, door or leak sensor has to show itself: who recorded such a device out of
range of every proxy has some minutes of it."""

EXPECTED_AHEAD = 64
"""Counters that the next frame may have: so many frames are lost where reception is poor."""

LARGEST_16 = 0xFFFF
"""The highest counter of devices that count in 16 bits."""

PLAIN_TTL = 300.0
PLAIN_DIGESTS = 4
UNCOUNTED_TTL = 600.0
UNCOUNTED_KEPT = 256
NEWEST_KEPT = 64
HOLD = 2.0
HEARTBEAT = 900.0
"""An unchanged value is a row this often, so that a plot has no gap in which the device was heard."""

REPEATABLE_SECONDS = UNCOUNTED_TTL
REPEATABLE_KEPT = 1024
"""Claimed rows of the last so many seconds are restored beyond the newest 64, at most so many: a sensor that steps
every two seconds sends 64 in half of the time for which proxies are known to stall."""

FOREVER = float("inf")
UNHEARD = -(2**31)

_HALF, _ROUND = 2**31, 2**32


def _tenths(heard: float) -> int:
    """Tenths of a second in 32 bits. They wrap after 13 years, so a clock that began in 1970 works too."""
    return (int(heard * 10) + _HALF) % _ROUND - _HALF


def _apart(now: int, then: int) -> int:
    return (now - then + _HALF) % _ROUND - _HALF


ROW_STEP = 8
"""Seconds by which the times of rows are kept, in one byte each: 34 minutes, and none is asked for that is older than a
heartbeat and the time for which a frame stays known."""


def _row_time(heard: float) -> int:
    return int(heard // ROW_STEP) % 256


def _since_row(now: int, row: int) -> int:
    """Seconds, a step more at most."""
    return ((now - row) % 256 + 1) * ROW_STEP


IsKnown: TypeAlias = Callable[[bytes], bool]
"""Was the authenticated frame with this identity ever accepted from this device?"""

ANY = 2**32
"""Above every counter: where the highest counter is not known, each counter has to be looked up."""


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
"""The verdicts up to ``ACCEPTED`` are readings. Looking a member up in its enumeration takes a tenth of a judgement."""

REPEAT = Judgement(Verdict.REPEAT)
REPLAY = Judgement(Verdict.REPLAY, age=float("inf"))
HELD = Judgement(Verdict.HELD)


class Restart(NamedTuple):
    """When a counter below the highest is a restart. ``at_once``: a low one is, by its first frame. ``shown``: seconds
    from the first frame of another sequence to the one that is believed. ``wraps``: one that follows 65,535 within a
    few frames is, because some devices of the format count in 16 bits (home-assistant/core#118884).
    """

    at_once: bool
    shown: float
    wraps: bool = False


EVENT_RESTART = Restart(at_once=True, shown=RESTART_SPACING)
STRICT_RESTART = Restart(at_once=False, shown=RESTART_SHOWN)
USUAL_RESTART = Restart(at_once=False, shown=RESTART_SPACING)
"""A press that does not fire is worse than an old one that does; of a lock it is the other way round."""


class Authenticated:
    """The authenticated frames of one device under one bindkey.

    The newest 64 identities lie in a ring of two arrays of half a kB, without the bindkey's id; as a dict they would
    take seven. ``highest``: the highest counter of any that went to history; -1 where none did.
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

    def __init__(self, known: IsKnown, started: float, highest: int = ANY) -> None:
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

    def restore(self, identity: bytes, heard: float, late: bool) -> None:
        """A row of the history, oldest first: at the start, ``hi`` and the newest identities come from there."""
        counter = counter_of(identity)
        self.reserve(counter)
        self._remember(int.from_bytes(identity[4:], "big"), heard)
        if not late:
            self.hi = counter

    def reserve(self, counter: int) -> None:
        """A frame with this counter went to history without being judged."""
        self._top = max(self._top, counter)

    @staticmethod
    def identity(key_id: bytes, counter: int, tag: bytes) -> bytes:
        """The identity of a frame: see the module's head."""
        return key_id + counter.to_bytes(4, "big") + tag

    def expects(self, counter: int) -> bool:
        """Whether a frame with this counter is one of the next few, or was just overtaken by another."""
        return -LATE_EVENT_COUNT <= counter - self.hi <= EXPECTED_AHEAD and self.hi >= 0

    def judge(self, counter: int, identity: bytes, heard: float, restart: Restart = USUAL_RESTART) -> Judgement:
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
        if self._restarted(counter, heard, restart):
            self._epoch += 1
            return self._advance(counter, heard)
        fires = counter >= self.hi - LATE_EVENT_COUNT and heard - self.hi_heard < LATE_EVENT_SECONDS
        return Judgement(Verdict.LATE, self._epoch << 32 | counter, fires)

    def _restarted(self, counter: int, heard: float, restart: Restart) -> bool:
        silent, low = heard - self.hi_heard, counter < LOW_COUNTER
        if restart.wraps and counter <= EXPECTED_AHEAD and 0 <= LARGEST_16 - self.hi <= EXPECTED_AHEAD:
            return True
        if restart.at_once and low and silent >= NEW_BATTERY and not self._delayed(counter, heard):
            return True
        if silent < RESTART_SILENCE:
            return False
        if 0 <= self._late_counter < counter:
            return heard - self._late_heard >= (RESTART_SPACING if low else restart.shown)
        self._late_counter, self._late_heard = counter, heard
        return False

    def _delayed(self, counter: int, heard: float) -> bool:
        """Whether a proxy may have delayed this frame: one that followed it was heard for the first time lately."""
        followed = [(within >> 32, first) for within, first in zip(self._newest, self._first_heard, strict=True)]
        following, first = min((one for one in followed if one[0] > counter), default=(ANY, NEVER))
        return following - counter <= EXPECTED_AHEAD and heard - first <= REPLAY_AFTER

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


class Plain:
    """The plain and legacy frames of one device: 256 counters, each with the digests of what it carried lately.

    The newest digest of each counter lies in two arrays of 1 kB, whose times are whole tenths of a second, and when it
    last became a reading in one of 256 bytes. Further ones (two payloads under one counter) lie in a dict. A dict alone
    would not do: a sensor that steps every two seconds keeps 150 of them alive, and a device may take 10 kB.
    """

    __slots__ = ("_digests", "_heard", "_last", "_last_heard", "_more", "_order", "_prefix", "_rows")

    ttl = PLAIN_TTL

    def __init__(self, prefix: bytes = b"P") -> None:
        self._prefix = prefix
        self._digests = array("I", [0]) * 256
        self._heard = array("i", [UNHEARD]) * 256
        self._rows = bytearray(256)
        self._more: dict[tuple[int, int], tuple[float, float]] = {}
        self._last = 0
        self._last_heard = NEVER
        self._order = 0

    def identity(self, counter: int, digest: int) -> bytes:
        """The identity of a frame: see the module's head."""
        return self._prefix + bytes((counter,)) + digest.to_bytes(4, "big")

    def judge(self, counter: int, digest: int, heard: float, steady: bool = False) -> Judgement:
        """What a decoded frame is; ``digest`` is the CRC-32 of its body."""
        if self.touch(counter, digest, heard) and not (steady and self._row_due(counter, digest, heard)):
            return REPEAT
        self._remember(counter, digest, heard)
        ahead = (counter - self._last) % 256
        behind = 256 - ahead
        if behind <= LATE_EVENT_COUNT and heard - self._last_heard < LATE_EVENT_SECONDS:
            return Judgement(Verdict.LATE, self._order - behind, fires=True)
        self._order += ahead
        self._last, self._last_heard = counter, heard
        return _new(Judgement, (NEW, self._order, True, 0.0))

    def touch(self, counter: int, digest: int, heard: float, *, unbroken: bool = False) -> bool:
        """Note another copy; False where the frame is not known, or was last heard too long ago. ``unbroken``: copies
        in between kept it known.
        """
        if self._digests[counter] == digest and self._heard[counter] != UNHEARD:
            now = _tenths(heard)
            age = _apart(now, self._heard[counter])
            if age > PLAIN_TTL * 10 and not unbroken:
                return False
            if age > 0:
                self._heard[counter] = now
            return True
        last, row = self._more.get((counter, digest), (NEVER, NEVER))
        if row == NEVER or (heard - last > PLAIN_TTL and not unbroken):
            return False
        self._more[counter, digest] = max(heard, last), row
        return True

    def _row_due(self, counter: int, digest: int, heard: float) -> bool:
        """Whether a known frame became a reading so long ago that it is to be one again."""
        if self._digests[counter] == digest:
            return _since_row(_row_time(heard), self._rows[counter]) >= HEARTBEAT
        return heard - self._more[counter, digest][1] >= HEARTBEAT

    def _remember(self, counter: int, digest: int, heard: float) -> None:
        now = _tenths(heard)
        age = _apart(now, self._heard[counter])
        if self._heard[counter] != UNHEARD and age <= PLAIN_TTL * 10 and self._digests[counter] != digest:
            same = sorted((last, key) for key, (last, _) in self._more.items() if key[0] == counter)
            if len(same) >= PLAIN_DIGESTS - 1:
                del self._more[same[0][1]]
            since_row = _since_row(_row_time(heard), self._rows[counter])
            self._more[counter, self._digests[counter]] = heard - age / 10, heard - since_row
            self._more = {key: times for key, times in self._more.items() if heard - times[0] <= PLAIN_TTL}
        if self._more:
            self._more.pop((counter, digest), None)
        self._digests[counter], self._heard[counter], self._rows[counter] = digest, now, _row_time(heard)

    def restore(self, identity: bytes, heard: float, late: bool, last: float) -> None:
        """A row of the history, oldest first; it counts as ``last`` heard then."""
        counter = identity[-5]
        self._remember(counter, int.from_bytes(identity[-4:], "big"), last)
        if not late:
            self._last, self._last_heard = counter, heard


class Uncounted:
    """The frames of one device that has no counter: its last 256 payloads, in a ring of arrays of 2.3 kB.

    A scale sends ten different unstable weights a second while somebody stands on it, and another room may deliver all
    of them minutes later: with the last eight only, they would be accepted twice.
    """

    __slots__ = ("_digests", "_heard", "_next", "_order", "_prefix", "_rows")

    ttl = UNCOUNTED_TTL

    def __init__(self, prefix: bytes = b"U") -> None:
        self._prefix = prefix
        self._digests = array("I", [0]) * UNCOUNTED_KEPT
        self._heard = array("i", [UNHEARD]) * UNCOUNTED_KEPT
        self._rows = bytearray(UNCOUNTED_KEPT)
        self._next = 0
        self._order = 0

    def identity(self, _counter: int, digest: int) -> bytes:
        """The identity of a frame: see the module's head."""
        return self._prefix + digest.to_bytes(4, "big")

    def judge(self, counter: int, digest: int, heard: float, steady: bool = False) -> Judgement:
        """What a decoded payload is; ``digest`` is the CRC-32 of all its bytes."""
        if self.touch(counter, digest, heard) and not (steady and self._row_due(digest, heard)):
            return REPEAT
        self._remember(digest, heard)
        self._order += 1
        return Judgement(Verdict.NEW, self._order, fires=True)

    def touch(self, _counter: int, digest: int, heard: float, *, unbroken: bool = False) -> bool:
        """Note another copy; False where the payload is not known, or was last heard too long ago. ``unbroken``: copies
        in between kept it known.
        """
        try:
            at = self._digests.index(digest)
        except ValueError:
            return False
        now = _tenths(heard)
        age = _apart(now, self._heard[at])
        if self._heard[at] == UNHEARD or (age > self.ttl * 10 and not unbroken):
            return False
        if age > 0:
            self._heard[at] = now
        return True

    def _row_due(self, digest: int, heard: float) -> bool:
        """Whether a known payload became a reading so long ago that it is to be one again."""
        return _since_row(_row_time(heard), self._rows[self._digests.index(digest)]) >= HEARTBEAT

    def restore(self, identity: bytes, _heard: float, _late: bool, last: float) -> None:
        """A row of the history, oldest first; it counts as ``last`` heard then."""
        self._remember(int.from_bytes(identity[-4:], "big"), last)

    def _remember(self, digest: int, heard: float) -> None:
        try:
            at = self._digests.index(digest)
        except ValueError:
            at, self._next = self._next, (self._next + 1) % UNCOUNTED_KEPT
        self._digests[at], self._heard[at], self._rows[at] = digest, _tenths(heard), _row_time(heard)


class Counterless(Uncounted):
    """The frames of one device that leave out the counter which their format has."""

    __slots__ = ()

    ttl = PLAIN_TTL


class Constant:
    """The frames of one device whose counter never moves: its value, and a changed one that must prove itself."""

    __slots__ = ("_changed", "_changed_heard", "_digest", "_order", "_prefix", "_row_heard")

    ttl = 0.0
    """Every copy counts: it may be the one that proves a changed value."""

    def __init__(self, prefix: bytes = b"C") -> None:
        self._prefix = prefix
        self._digest: int | None = None
        self._row_heard = NEVER
        self._changed: int | None = None
        self._changed_heard = NEVER
        self._order = 0

    def identity(self, _counter: int, digest: int) -> bytes:
        """The identity of a frame: see the module's head."""
        return self._prefix + digest.to_bytes(4, "big")

    def judge(self, _counter: int, digest: int, heard: float, _steady: bool = False) -> Judgement:
        """What a decoded frame is; ``digest`` is the CRC-32 of its body."""
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

    def restore(self, identity: bytes, heard: float, _late: bool, _last: float) -> None:
        """A row of the history, oldest first."""
        self._digest, self._row_heard = int.from_bytes(identity[-4:], "big"), heard


Claimed: TypeAlias = Plain | Uncounted | Constant
"""The rules for frames that prove nothing. Each has ``judge``, ``touch``, ``identity``, ``restore``, and the ``ttl``
for which the exact bytes of a frame may stand for it."""

_CLAIMED: Mapping[bytes, tuple[type[Claimed], int, int]] = {
    b"P": (Plain, 1, 6),
    b"U": (Uncounted, 1, 5),
    b"C": (Constant, 1, 5),
    b"p": (Plain, 2, 7),
    b"u": (Counterless, 2, 6),
}
"""First byte of an identity -> its rule, the length of its prefix, and its own."""

_AUTHENTICATED_BYTES = 12


def stream_id(key_id: bytes, mark: bytes) -> bytes:
    """What stands for a bindkey in the identities of a format: each format under one bindkey counts by itself."""
    return key_id[:3] + bytes((key_id[3] ^ mark[0],)) if mark else key_id


def mark_of(stream: bytes, key_id: bytes) -> bytes:
    """The mark of the format that a stream's id was made of (:func:`stream_id`)."""
    mark = stream[3] ^ key_id[3]
    return bytes((mark,)) if mark else b""


def counter_of(identity: bytes) -> int:
    """The counter in an authenticated identity."""
    return int.from_bytes(identity[4:8], "big")


class Streams:
    """All frames of one device: a stream under each bindkey, and one for each kind of frames that prove nothing.

    ``begin``: what the history knows of the frames under the bindkey with this id.
    """

    __slots__ = ("_authenticated", "_begin", "_claimed")

    def __init__(self, begin: Callable[[bytes], Authenticated]) -> None:
        self._begin = begin
        self._authenticated: dict[bytes, Authenticated] = {}
        self._claimed: dict[bytes, Claimed] = {}

    def authenticated(self, key_id: bytes) -> Authenticated:
        """The frames of one format under one bindkey (:func:`stream_id`)."""
        stream = self._authenticated.get(key_id)
        if stream is None:
            stream = self._authenticated[key_id] = self._begin(key_id)
        return stream

    def claimed(self, mark: bytes, *, counted: bool, constant: bool) -> Claimed:
        """The frames of the format with this mark that prove nothing."""
        if mark:
            return self._of_prefix((b"p" if counted else b"u") + mark)
        return self._of_prefix(b"U" if not counted else b"C" if constant else b"P")

    @property
    def marks(self) -> tuple[bytes, ...]:
        """The marks of the formats whose claimed frames are known."""
        return tuple(dict.fromkeys(prefix[1:] for prefix in self._claimed))

    def restore(self, identity: bytes, heard: float, late: bool, last: float) -> bytes | None:
        """A row of the history, oldest first: the bindkey's id of an authenticated frame. Identities of reads and log
        entries are empty and passed over.
        """
        if len(identity) == _AUTHENTICATED_BYTES:
            key_id = identity[:4]
            self.authenticated(key_id).restore(identity, heard, late)
            return key_id
        rule = _CLAIMED.get(identity[:1])
        if rule is not None and len(identity) == rule[2]:
            self._of_prefix(identity[: rule[1]]).restore(identity, heard, late, last)
        return None

    def _of_prefix(self, prefix: bytes) -> Claimed:
        stream = self._claimed.get(prefix)
        if stream is None:
            stream = self._claimed[prefix] = _CLAIMED[prefix[:1]][0](prefix)
        return stream
