"""How much a broker may send."""

import pytest

from proxy_listener.sinks.mqtt.limits import ANSWER, BURST, LARGEST, RATE, RECEPTION, Received, TooMuchError

CONNACK, PUBACK, PUBLISH_0, PUBLISH_1, PUBLISH_2 = 0x20, 0x40, 0x30, 0x32, 0x34


def test_a_large_packet_is_refused_before_it_is_read() -> None:
    """By the size in its header, which may be 268 MB."""
    received = Received(0.0)
    received.announced(PUBLISH_1, LARGEST)
    with pytest.raises(TooMuchError, match="268435455 bytes"):
        received.announced(PUBLISH_1, 268_435_455)
    assert received.error is not None


@pytest.mark.parametrize("retained", [0, 1])
def test_a_message_that_would_have_to_be_kept_is_refused(retained: int) -> None:
    """QoS 2 is kept until the broker releases it, and there are 65,535 numbers for such messages."""
    received = Received(0.0)
    for command in (CONNACK, PUBACK, PUBLISH_0, PUBLISH_1):
        received.announced(command | retained, 20)
    with pytest.raises(TooMuchError, match="QoS 2"):
        received.announced(PUBLISH_2 | retained, 20)


def test_acknowledgements_are_always_taken() -> None:
    """A hundred thousand at one moment, each as long as a reason in words makes it."""
    received = Received(0.0)
    for _ in range(100_000):
        received.published()
        for size in (1, 1, 100):
            received.took(size, 0.0)
    assert received.error is None


def test_a_flood_ends_the_connection() -> None:
    """Small packets cost more than their bytes, because each is work; a pace that a person could cause is free."""
    received = Received(0.0)
    for _ in range(int(BURST / RECEPTION) - 1):
        received.took(1, 0.0)
    with pytest.raises(TooMuchError, match="more than acknowledgements"):
        received.took(1, 0.0)
    slow = Received(0.0)
    for second in range(100_000):
        slow.took(int(RATE), float(second))
    assert slow.error is None
    assert ANSWER > 3 * RECEPTION
