"""What a subscription gives, and when."""

import asyncio

import pytest

from proxy_listener.model.errors import GattError
from proxy_listener.proxies.subscription import LONGEST_VALUE, QUEUED, Subscription


def loss():
    return GattError("connection_lost", "gone")


async def test_values_come_in_order():
    """Values wait for their reader, first come first."""
    subscription = Subscription(asyncio.Event(), loss)
    for value in (b"\x01", b"\x02"):
        subscription.put(7, bytearray(value))
    assert [await subscription.next(1.0), await subscription.next(1.0)] == [b"\x01", b"\x02"]


async def test_silence_is_none():
    """Where nothing arrives in time the answer is None, and the link is not said to be lost."""
    assert await Subscription(asyncio.Event(), loss).next(0.001) is None


async def test_a_lost_link_ends_the_wait():
    """What had arrived is still read; then the loss is raised at once, however long the wait may last."""
    ended = asyncio.Event()
    subscription = Subscription(ended, loss)
    subscription.put(7, bytearray(b"\x01"))
    ended.set()
    assert await subscription.next(600.0) == b"\x01"
    with pytest.raises(GattError, match="gone"):
        await subscription.next(600.0)


async def test_a_flood_is_bounded():
    """Further notifications are dropped where too many wait; the first ones are kept."""
    subscription = Subscription(asyncio.Event(), loss)
    for number in range(QUEUED + 10):
        subscription.put(7, bytearray(number.to_bytes(2, "little")))
    values = [await subscription.next(0.001) for _ in range(QUEUED + 1)]
    assert values[0] == b"\x00\x00"
    assert values[QUEUED - 1] == (QUEUED - 1).to_bytes(2, "little")
    assert values[QUEUED] is None


async def test_a_value_that_no_device_has():
    """What came before a value that is too long is still read; then the read fails, and nothing more is kept."""
    subscription = Subscription(asyncio.Event(), loss)
    subscription.put(7, bytearray(LONGEST_VALUE))
    subscription.put(7, bytearray(LONGEST_VALUE + 1))
    subscription.put(7, bytearray(1))
    assert len(await subscription.next(1.0)) == LONGEST_VALUE
    for _ in range(2):
        with pytest.raises(GattError, match="a value of 513 bytes") as caught:
            await subscription.next(1.0)
        assert caught.value.cause == "excess"
