"""The four duplicate rules alone: cases that the truth table does not reach through the listener."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.engine.dedup import (
    ANY,
    USUAL_RESTART,
    Authenticated,
    Constant,
    Plain,
    Streams,
    Uncounted,
    Verdict,
    counter_of,
    mark_of,
    stream_id,
)


def identity(counter: int) -> bytes:
    return Authenticated.identity(b"key!", counter, counter.to_bytes(4, "little"))


class History:
    """Every identity that was accepted."""

    def __init__(self) -> None:
        self.identities: set[bytes] = set()

    def judge(self, rule: Authenticated, counter: int, heard: float) -> Verdict:
        verdict = rule.judge(counter, identity(counter), heard).verdict
        if verdict <= Verdict.LATE:
            self.identities.add(identity(counter))
        return verdict


HEARD = st.lists(
    st.tuples(st.integers(0, 300) | st.integers(0, 2**32 - 1), st.floats(0, 400)), min_size=1, max_size=200
)


@given(HEARD, st.sampled_from([ANY, -1]), st.integers(0, 200))
def test_an_identity_is_accepted_exactly_once_whatever_the_order_and_the_time(heard, highest, restart):
    """Whether the history said which counter is the highest or could not, and over a restart."""
    history = History()
    rule = Authenticated(history.identities.__contains__, 0.0, highest)
    now, accepted = 0.0, []
    for n, (counter, pause) in enumerate(heard):
        if n == restart:
            highest = max(map(counter_of, history.identities)) if accepted else -1
            rule = Authenticated(history.identities.__contains__, 0.0, highest)
        now += pause
        if history.judge(rule, counter, now) <= Verdict.LATE:
            accepted.append(counter)
    assert sorted(accepted) == sorted({counter for counter, _ in heard})


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.floats(0, 2)), max_size=300))
def test_a_plain_frame_is_accepted_once_in_five_minutes_whatever_the_order(heard):
    rule, now, last_heard = Plain(), 0.0, {}
    for counter, digest, pause in heard:
        now += pause
        new = rule.judge(counter, digest, now).verdict <= Verdict.LATE
        last = last_heard.get((counter, digest))
        # Whole tenths of a second are kept, so within 0.1 s of the limit either answer is right.
        if last is None or now - last > 300.1:
            assert new
        elif now - last < 299.9:
            assert not new
        last_heard[counter, digest] = now


@given(
    st.sampled_from(["authenticated", "plain", "uncounted", "constant"]),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.floats(0, 400)), max_size=200),
)
def test_a_new_frame_is_never_behind_an_earlier_one(kind, heard):
    """Only a late frame can hold stale values: the order of a new frame is at least that of every earlier one."""
    history, now, orders = History(), 0.0, [0]
    authenticated = Authenticated(history.identities.__contains__, 0.0)
    rule = {"plain": Plain, "uncounted": Uncounted, "constant": Constant}.get(kind, Plain)()
    for counter, digest, pause in heard:
        now += pause
        if kind == "authenticated":
            name = Authenticated.identity(b"key!", counter, bytes((0, 0, 0, digest)))
            judgement = authenticated.judge(counter, name, now)
        else:
            judgement = rule.judge(counter, digest, now)
        if judgement.verdict is Verdict.NEW:
            assert judgement.order >= max(orders)
        if judgement.verdict <= Verdict.LATE:
            orders.append(judgement.order)


def test_a_fifth_payload_under_one_counter_pushes_out_the_one_longest_unheard():
    rule = Plain()
    for digest in range(5):
        assert rule.judge(7, digest, float(digest)).verdict is Verdict.NEW
    assert rule.judge(7, 4, 6.0).verdict is Verdict.REPEAT
    assert rule.judge(7, 1, 6.0).verdict is Verdict.REPEAT
    assert rule.judge(7, 0, 6.0).verdict is Verdict.NEW


@pytest.mark.parametrize(
    ("counter", "after", "verdict"),
    [
        pytest.param(184, 4.9, Verdict.LATE, id="overtaken"),
        pytest.param(184, 5.1, Verdict.NEW, id="so-long-after-the-time-decides"),
        pytest.param(183, 1.0, Verdict.NEW, id="rooms-overtake-by-fewer-counters"),
        pytest.param(73, 1.0, Verdict.NEW, id="half-a-turn-ahead-is-no-order"),
    ],
)
def test_of_plain_frames_the_time_of_hearing_decides_but_for_an_instant(counter, after, verdict):
    """Anyone can invent a counter; every one of these frames fires."""
    rule = Plain()
    rule.judge(200, 1, 0.0)
    judged = rule.judge(counter, 2, after)
    assert (judged.verdict, judged.fires) == (verdict, True)


@pytest.mark.parametrize("rule", [Plain(), Uncounted(), Constant()], ids=["plain", "uncounted", "constant"])
@pytest.mark.parametrize("pace", [0.1, 1.0, 20.0])
def test_36b_an_unchanged_value_is_a_row_every_fifteen_minutes_whatever_the_identity(rule, pace):
    """No gap in which the device is heard is longer, and where nothing steps no two rows are nearer."""
    rule = type(rule)()
    rows = [n * pace for n in range(int(14_400 / pace)) if rule.judge(7, 1, n * pace, True).verdict is Verdict.NEW]
    gaps = [later - row for row, later in pairwise([*rows, 14_400.0])]
    assert max(gaps) <= 900.0
    assert min(gaps[:-1]) > 880.0


@pytest.mark.parametrize("pace", [0.5, 1.0, 1.1])
def test_36c_a_plain_counter_that_comes_round_in_less_than_five_minutes_leaves_no_gap(pace):
    """Every frame is known for as long as the value stays, and it is a row all the same."""
    rule = Plain()
    rows = [
        n * pace for n in range(int(14_400 / pace)) if rule.judge(n % 256, 1, n * pace, True).verdict is Verdict.NEW
    ]
    assert max(later - row for row, later in pairwise([*rows, 14_400.0])) <= 900.0


def test_an_event_is_no_row_again_however_long_it_is_repeated():
    """Only steady values are."""
    for rule in (Plain(), Uncounted()):
        verdicts = [rule.judge(7, 1, float(second)).verdict for second in range(0, 7200, 10)]
        assert verdicts == [Verdict.NEW] + [Verdict.REPEAT] * 719


def test_the_order_of_plain_frames_rises_over_the_wrap_of_their_counter():
    rule = Plain()
    orders = [rule.judge(counter % 256, counter, counter * 2.0).order for counter in range(600)]
    assert orders == sorted(set(orders))


def test_35_a_constant_counters_value_may_change_and_return_once_it_has_held_for_two_seconds():
    rule = Constant()
    a, b = 1, 2
    assert rule.judge(7, a, 0.0).verdict is Verdict.NEW
    assert rule.judge(7, b, 10.0).verdict is Verdict.HELD
    assert rule.judge(7, b, 12.0).verdict is Verdict.NEW
    assert rule.judge(7, a, 20.0).verdict is Verdict.HELD
    assert rule.judge(7, a, 22.5).verdict is Verdict.NEW


def test_35b_a_late_copy_of_the_old_value_is_held_and_the_new_value_stays():
    rule = Constant()
    rule.judge(7, 1, 0.0)
    rule.judge(7, 2, 10.0)
    rule.judge(7, 2, 12.0)
    assert rule.judge(7, 1, 13.0).verdict is Verdict.HELD
    assert rule.judge(7, 2, 14.0).verdict is Verdict.REPEAT
    assert rule.judge(7, 1, 15.5).verdict is Verdict.HELD


def test_36_a_constant_value_is_one_row_and_a_heartbeat_every_fifteen_minutes():
    rule = Constant()
    rows = [second for second in range(0, 86_400, 10) if rule.judge(7, 1, float(second)).verdict is Verdict.NEW]
    assert rows == list(range(0, 86_400, 900))


def test_a_payload_without_counter_is_remembered_for_ten_minutes_since_it_was_last_heard():
    rule = Uncounted()
    assert rule.judge(0, 5, 0.0).verdict is Verdict.NEW
    assert rule.judge(0, 5, 590.0).verdict is Verdict.REPEAT
    assert rule.judge(0, 5, 1185.0).verdict is Verdict.REPEAT
    assert rule.judge(0, 5, 1786.0).verdict is Verdict.NEW


def test_of_payloads_without_counter_the_last_256_are_kept():
    rule = Uncounted()
    for digest in range(257):
        rule.judge(0, digest, 0.0)
    assert rule.judge(0, 1, 1.0).verdict is Verdict.REPEAT
    assert rule.judge(0, 0, 1.0).verdict is Verdict.NEW


def test_frames_restored_from_rows_count_as_heard_at_the_start():
    """A row has only the time of its first copy, which may be hours ago."""
    plain, uncounted, constant = Plain(), Uncounted(), Constant()
    plain.restore(Plain().identity(7, 99), -10.0, False, 0.0)
    plain.restore(Plain().identity(6, 97), -9000.0, True, 0.0)
    uncounted.restore(Uncounted().identity(0, 99), -9000.0, False, 0.0)
    constant.restore(Constant().identity(0, 99), -10.0, False, 0.0)
    assert plain.judge(7, 99, 299.0).verdict is Verdict.REPEAT
    assert plain.judge(6, 97, 299.0).verdict is Verdict.REPEAT
    assert plain.judge(6, 98, 1.0).verdict is Verdict.NEW
    assert uncounted.judge(0, 99, 599.0).verdict is Verdict.REPEAT
    assert constant.judge(0, 99, 1.0).verdict is Verdict.REPEAT


def test_an_identity_finds_its_own_stream_again():
    """Also where a random bindkey id begins with the letter of another kind; what is no identity is passed over."""
    begun = []
    streams = Streams(lambda key_id: begun.append(key_id) or Authenticated(lambda _: False, 0.0))
    key_id = b"P\x01\x02\x03"
    assert streams.restore(Authenticated.identity(key_id, 500, b"tag!"), 0.0, False, 0.0) == key_id
    assert streams.authenticated(key_id).hi == 500
    assert begun == [key_id]
    for identity in (b"", b"P", b"X12345", b"U123456789"):
        assert streams.restore(identity, 0.0, False, 0.0) is None
    assert streams.restore(Plain().identity(3, 77), 0.0, False, 0.0) is None
    assert streams.claimed(b"", counted=True, constant=False).judge(3, 77, 1.0).verdict is Verdict.REPEAT
    assert streams.claimed(b"", counted=True, constant=True).judge(3, 77, 1.0).verdict is Verdict.NEW


def test_the_counter_of_an_identity():
    """Between the bindkey's id and the tag."""
    assert counter_of(Authenticated.identity(b"abcd", 0x12345678, b"tag!")) == 0x12345678


def test_each_format_of_a_device_counts_by_itself():
    """The same counter and digest under another mark are another frame, before and after a restart."""
    streams = Streams(lambda _: Authenticated(lambda _: False, 0.0))
    for mark in (b"", b"B", b"a"):
        stream = streams.claimed(mark, counted=True, constant=False)
        assert stream.judge(3, 77, 1.0).verdict is Verdict.NEW
    again = Streams(lambda _: Authenticated(lambda _: False, 0.0))
    for mark, counted in ((b"B", True), (b"a", False)):
        known = streams.claimed(mark, counted=counted, constant=False).identity(3, 77)
        assert again.restore(known, 0.0, False, 0.0) is None
        assert again.claimed(mark, counted=counted, constant=False).judge(3, 77, 1.0).verdict is Verdict.REPEAT
    assert again.marks == (b"B", b"a")
    assert again.claimed(b"", counted=True, constant=False).judge(3, 77, 1.0).verdict is Verdict.NEW


def test_a_frame_that_leaves_its_counter_out_is_known_for_the_time_of_plain_frames():
    """Five minutes after it was last heard; a scale's payload for ten."""
    streams = Streams(lambda _: Authenticated(lambda _: False, 0.0))
    for mark, verdict in ((b"B", Verdict.NEW), (b"", Verdict.REPEAT)):
        stream = streams.claimed(mark, counted=False, constant=False)
        assert stream.judge(0, 77, 0.0).verdict is Verdict.NEW
        assert stream.judge(0, 77, 299.0).verdict is Verdict.REPEAT
        assert stream.judge(0, 77, 600.0).verdict is verdict


@pytest.mark.parametrize("mark", [b"", b"B", b"a"])
def test_a_format_has_its_own_name_for_a_bindkey(mark):
    """And the name says which format it is."""
    key_id = bytes.fromhex("0102ff42")
    assert mark_of(stream_id(key_id, mark), key_id) == mark


def test_a_counter_of_16_bits_that_wraps_goes_on():
    """Of a device whose format may have one, at once; of others only as a restart."""
    for restart, verdict in ((USUAL_RESTART._replace(wraps=True), Verdict.NEW), (USUAL_RESTART, Verdict.LATE)):
        stream = Authenticated(lambda _: False, 0.0, -1)
        for counter in (65_530, 65_534):
            assert stream.judge(counter, identity(counter), counter / 10).verdict is Verdict.NEW
        assert stream.judge(2, identity(2), 6554.0, restart).verdict is verdict


def test_a_counter_that_falls_elsewhere_is_no_wrap():
    """Neither far from the end of 16 bits, nor to a counter that does not follow it."""
    wraps = USUAL_RESTART._replace(wraps=True)
    for highest, lower in ((60_000, 2), (65_534, 300), (70_000, 2)):
        stream = Authenticated(lambda _: False, 0.0, -1)
        stream.judge(highest, identity(highest), 0.0)
        assert stream.judge(lower, identity(lower), 1.0, wraps).verdict is Verdict.LATE
