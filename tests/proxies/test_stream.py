from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.stream import ProxyStream, Step, StreamTraits
from proxy_listener.proxies.timing import ProxyTiming

OLD = StreamTraits(reports_state=True, newest_wins=False, insist=False)
NEW = StreamTraits(reports_state=True, newest_wins=True, insist=False)
MUTE = StreamTraits(reports_state=False, newest_wins=False, insist=False)


def subscribed(traits: StreamTraits) -> ProxyStream:
    stream = ProxyStream(ProxyTiming())
    stream.connected(traits, 0.0)
    return stream


def steps(
    stream: ProxyStream, start: float, end: float, *, heard: float | None = None, others: bool = True, reported=False
):
    """Every step from start to end, in ticks of half a second; a subscription is acted on as a proxy does."""
    taken = []
    now = start
    while now < end:
        step = stream.tick(now, heard, others=others)
        if step is not Step.NOTHING:
            taken.append((now, step))
        if step in {Step.SUBSCRIBE, Step.RESUBSCRIBE}:
            stream.subscribed(now)
            if reported:
                stream.state_reported(now)
        now += 0.5
    return taken


def test_scanner_state_makes_live():
    """A scanner state is the answer to an accepted subscription, in a quiet house too."""
    stream = subscribed(OLD)
    assert stream.tick(0.5, None, others=False) is Step.NOTHING
    assert stream.state is ProxyState.CONNECTING
    stream.state_reported(0.6)
    stream.tick(0.7, None, others=False)
    assert stream.state is ProxyState.LIVE


def test_advertisements_make_live_without_a_scanner_state():
    """Firmware without flag 64 is live once it is heard."""
    stream = subscribed(MUTE)
    stream.tick(3.0, None, others=True)
    assert stream.state is ProxyState.CONNECTING
    stream.tick(4.0, 3.5, others=True)
    assert stream.state is ProxyState.LIVE


def test_held_is_asked_again_every_ten_seconds():
    """No scanner state within 2 s is a refused subscription. Asking again costs nothing on an open session."""
    stream = subscribed(OLD)
    taken = steps(stream, 0.5, 45.0)
    assert stream.state is ProxyState.HELD
    assert taken == [(time, Step.SUBSCRIBE) for time in (10.0, 20.0, 30.0, 40.0)]


def test_held_is_known_after_two_seconds():
    stream = subscribed(OLD)
    stream.tick(1.9, None, others=True)
    assert stream.state is ProxyState.CONNECTING
    stream.tick(2.0, None, others=True)
    assert stream.state is ProxyState.HELD


def test_released_stream_is_taken():
    """After the holder left, the next subscription is answered."""
    stream = subscribed(OLD)
    steps(stream, 0.5, 11.0, reported=True)
    stream.tick(11.5, None, others=True)
    assert stream.state is ProxyState.LIVE


def flowing(traits: StreamTraits, until: float) -> ProxyStream:
    stream = subscribed(traits)
    stream.state_reported(0.1)
    stream.tick(until, until, others=True)
    assert stream.state is ProxyState.LIVE
    return stream


def test_taken_stream_is_asked_for_after_half_a_minute():
    """On newest-wins firmware a stream that stops while others hear is taken. The first visit of a client is short."""
    stream = flowing(NEW, 100.0)
    assert steps(stream, 100.5, 189.5, heard=100.0) == []
    assert stream.state is ProxyState.TAKEN
    assert stream.due == 190.0
    assert steps(stream, 189.5, 195.0, heard=100.0) == [(190.0, Step.SUBSCRIBE)]


def resumes(stream, now):
    """The stream flows again from now on."""
    stream.subscribed(now)
    stream.state_reported(now)
    stream.tick(now + 1.0, now + 1.0, others=True)
    assert stream.state is ProxyState.LIVE
    return stream


def test_taken_again_waits_longer():
    """After the second loss 5 minutes, then 10: two clients must not take it from each other all the time."""
    stream, heard, waits = flowing(NEW, 100.0), 100.0, []
    for _ in range(4):
        asked = heard
        while stream.tick(asked, heard, others=True) is not Step.SUBSCRIBE:
            asked += 0.5
        waits.append(asked - heard - 60.0)
        stream = resumes(stream, asked)
        heard = asked + 1.0
    assert waits == [30.0, 300.0, 600.0, 1200.0]


def test_insisting_takes_back_soon():
    stream = flowing(StreamTraits(reports_state=True, newest_wins=True, insist=True), 100.0)
    assert steps(stream, 100.5, 175.0, heard=100.0)[0] == (170.0, Step.SUBSCRIBE)


def test_recovery_of_a_silent_scanner():
    """First-wins firmware cannot lose its stream: resubscribe, toggle, reconnect, then it is wedged."""
    stream = flowing(OLD, 100.0)
    taken = steps(stream, 100.5, 160.0, heard=100.0)
    assert taken == []
    taken = steps(stream, 160.0, 201.0, heard=100.0, reported=True)
    assert [step for _, step in taken] == [Step.RESUBSCRIBE, Step.TOGGLE, Step.RECONNECT]
    assert stream.state is ProxyState.SILENT
    stream.connected(OLD, 202.0)
    stream.state_reported(202.1)
    steps(stream, 202.5, 230.0, heard=100.0, reported=True)
    assert stream.state is ProxyState.WEDGED


def test_newest_wins_silence_after_taking_back_is_a_silent_scanner():
    """Taken back, answered, and still silent: no other client took it, so recovery is tried."""
    stream = flowing(NEW, 100.0)
    steps(stream, 100.5, 191.0, heard=100.0, reported=True)
    taken = steps(stream, 191.0, 310.0, heard=100.0, reported=True)
    assert [step for _, step in taken] == [Step.RESUBSCRIBE, Step.TOGGLE, Step.RECONNECT]


def test_one_advertisement_makes_live_again():
    stream = flowing(OLD, 100.0)
    steps(stream, 100.5, 300.0, heard=100.0, reported=True)
    assert stream.state is ProxyState.WEDGED
    stream.tick(300.5, 300.4, others=True)
    assert stream.state is ProxyState.LIVE


def test_silence_alone_is_judged_late():
    """Where no other proxy hears anything, a minute of silence may be a quiet house."""
    stream = flowing(OLD, 100.0)
    assert steps(stream, 100.5, 399.0, heard=100.0, others=False) == []
    assert stream.state is ProxyState.LIVE
    assert steps(stream, 399.0, 401.0, heard=100.0, others=False) == [(400.0, Step.RESUBSCRIBE)]


def test_nothing_is_done_to_the_stream_of_a_busy_proxy():
    """Giving the stream up would close the links to devices that are open."""
    stream = flowing(OLD, 100.0)
    now = 160.0
    while now < 300.0:
        assert stream.tick(now, 100.0, others=True, busy=True) is Step.NOTHING
        now += 1.0
    assert stream.tick(301.0, 100.0, others=True) is Step.RESUBSCRIBE


def test_mode_is_not_toggled_where_the_firmware_has_none():
    stream = subscribed(MUTE)
    taken = steps(stream, 0.5, 130.0)
    assert Step.TOGGLE not in [step for _, step in taken]
    assert Step.RECONNECT in [step for _, step in taken]


def test_silent_scanner_of_a_holder_is_not_taken():
    """On newest-wins firmware a scanner state that comes during the silence says that the stream is still ours."""
    stream = flowing(NEW, 100.0)
    stream.state_reported(130.0)
    assert steps(stream, 150.0, 161.0, heard=100.0) == [(160.0, Step.RESUBSCRIBE)]
    assert stream.state is ProxyState.SILENT


def test_quiet_room_is_judged_later():
    """A room whose silence ended by itself is given twice the time."""
    stream = flowing(OLD, 100.0)
    steps(stream, 160.0, 165.0, heard=100.0, reported=True)
    assert stream.state is ProxyState.SILENT
    stream.tick(170.0, 169.9, others=True)
    assert stream.state is ProxyState.LIVE
    assert steps(stream, 170.0, 289.0, heard=169.9) == []
    assert steps(stream, 289.0, 291.0, heard=169.9)[0] == (290.0, Step.RESUBSCRIBE)


def test_time_in_which_the_process_was_suspended_is_not_silence():
    stream = flowing(OLD, 100.0)
    stream.resumed(700.0)
    assert stream.tick(700.5, 100.0, others=True) is Step.NOTHING
    assert stream.state is ProxyState.LIVE


PROBED = StreamTraits(reports_state=True, newest_wins=True, insist=False, probes=True)


def probing(stream, start, end, *, heard, ours, others=False):
    """When the node is asked from start to end, and when the state changed; ``ours``: how it answers."""
    asked, changes, now = [], [], start
    while now < end:
        before = stream.state
        if stream.tick(now, heard, others=others) is Step.PROBE:
            asked.append(now)
            if ours is not None:
                stream.probed(now, ours=ours)
        if stream.state is not before:
            changes.append((now, stream.state))
        now += 0.5
    return asked, changes


def asked_once(answers=True):
    """A stream whose node was asked at its beginning, and answered or not."""
    stream = flowing(PROBED, 100.0)
    stream._probed = NEVER
    asked, _ = probing(stream, 100.0, 101.0, heard=100.5, ours=answers)
    assert asked == [100.0]
    return stream


def test_a_taken_stream_is_noticed_within_fifteen_seconds_where_no_other_proxy_hears():
    """Two questions that only the holder gets an answer to stay without one."""
    asked, changes = probing(asked_once(), 101.0, 120.0, heard=100.5, ours=False)
    assert asked == [105.5, 110.5]
    assert changes == [(111.0, ProxyState.TAKEN)]


def test_a_quiet_house_stays_live_where_the_node_answers():
    """Asked every 5 s, for five minutes without any advertisement."""
    asked, changes = probing(asked_once(), 101.0, 399.0, heard=100.5, ours=True)
    assert len(asked) == 59
    assert changes == []


def test_one_lost_answer_takes_nothing():
    stream = asked_once()
    probing(stream, 101.0, 106.0, heard=100.5, ours=False)
    assert probing(stream, 106.0, 111.0, heard=100.5, ours=True) == ([110.5], [])
    assert probing(stream, 111.0, 116.0, heard=100.5, ours=False) == ([115.5], [])


def test_firmware_that_never_answered_is_not_judged_by_its_silence():
    """Its first probe stays without an answer as well, while the stream flows: the time limits judge it."""
    asked, changes = probing(asked_once(answers=False), 101.0, 399.0, heard=100.5, ours=False)
    assert asked
    assert changes == []


def test_a_silence_is_judged_at_the_proxys_own_pace():
    """One that hears two a second is silent after 15 s where others hear; one that hears one in 3 s, after 45 s."""
    for pace, seconds in ((2.0, 15.0), (1 / 3, 45.0), (0.1, 60.0), (0.0, 60.0)):
        stream = flowing(NEW, 100.0)
        stream.tick(100.0 + seconds - 0.5, 100.0, others=True, pace=pace)
        assert stream.state is ProxyState.LIVE
        stream.tick(100.0 + seconds, 100.0, others=True, pace=pace)
        assert stream.state is ProxyState.TAKEN


def test_a_busy_proxy_is_given_more_time():
    """It does not scan while it opens a connection."""
    stream = flowing(NEW, 100.0)
    stream.tick(159.0, 100.0, others=True, busy=True, pace=5.0)
    assert stream.state is ProxyState.LIVE
