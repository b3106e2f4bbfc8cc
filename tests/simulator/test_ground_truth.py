"""What the ground truth records of frames on air."""

from proxy_listener.simulator.ground_truth import GroundTruth, Origin, SentFrame


def frame(origin=Origin.GENUINE, values=None):
    return SentFrame(1, 0.0, 1, {"battery": 1} if values is None else values, (), b"", origin)


def test_copies_of_a_frame_are_one_frame():
    """The first copy gives it its time and number; a packet without a frame is foreign."""
    truth, sent = GroundTruth(), frame()
    for time in (5.0, 5.1):
        truth.on_air(sent, time)
    truth.on_air(None, 6.0)
    truth.on_air(frame(), 7.0)
    assert [(each.number, each.time) for each in truth.frames] == [(0, 5.0), (1, 7.0)]
    assert truth.foreign == 1


def test_reception_is_recorded_by_room():
    """Rooms are a set, copies are counted, and the time is that of the first."""
    sent = frame()
    for room, time in (("hall", 2.0), ("attic", 2.5), ("hall", 3.0)):
        sent.record(room, time)
    assert (sent.heard, sent.copies, sent.first_heard) == ({"hall", "attic"}, 3, 2.0)


def test_readings_are_expected_of_genuine_frames_with_content_that_were_heard():
    """Not of replays, forgeries, signs of life, or what no room received."""
    truth = GroundTruth()
    frames = [frame(), frame(), frame(Origin.REPLAY), frame(Origin.FORGED), frame(Origin.SIGN_OF_LIFE, {})]
    for index, sent in enumerate(frames):
        truth.on_air(sent, float(index))
        if index != 1:
            sent.record("hall", float(index))
    assert list(truth.expected()) == frames[:1]
