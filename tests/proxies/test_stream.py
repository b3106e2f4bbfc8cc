from proxy_listener.model.status import ProxyState
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


def test_held_is_asked_again_seldom():
    """No scanner state within 2 s is a refused subscription: asked again after 10, 30, 60, 60 s and not in between."""
    stream = subscribed(OLD)
    taken = steps(stream, 0.5, 170.0)
    assert stream.state is ProxyState.HELD
    assert taken == [(10.0, Step.SUBSCRIBE), (40.0, Step.SUBSCRIBE), (100.0, Step.SUBSCRIBE), (160.0, Step.SUBSCRIBE)]


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


def test_taken_stream_is_asked_for_seldom():
    """On newest-wins firmware a stream that stops while others hear is taken: asked for again after 300 s only."""
    stream = flowing(NEW, 100.0)
    assert steps(stream, 100.5, 459.5, heard=100.0) == []
    assert stream.state is ProxyState.TAKEN
    assert steps(stream, 459.5, 470.0, heard=100.0) == [(460.0, Step.SUBSCRIBE)]


def test_taken_again_waits_longer():
    """Every further loss doubles the wait, so that two clients do not take it from each other all the time."""
    stream = flowing(NEW, 100.0)
    steps(stream, 100.5, 461.0, heard=100.0, reported=True)
    stream.tick(465.0, 464.0, others=True)
    assert stream.state is ProxyState.LIVE
    taken = steps(stream, 465.0, 1130.0, heard=464.0)
    assert taken == [(524.0 + 600.0, Step.SUBSCRIBE)]


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
    steps(stream, 100.5, 461.0, heard=100.0, reported=True)
    taken = steps(stream, 461.0, 580.0, heard=100.0, reported=True)
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
