import asyncio

import pytest

from proxy_listener.reads.turn import Turn


async def test_a_turn_that_somebody_waits_for_is_not_free_between_two_holders():
    """The moment that a lock by itself would call unlocked."""
    turn, held = Turn(), []

    async def hold(name):
        async with turn:
            held.append(name)

    assert turn.free
    await turn.take()
    waiting = asyncio.create_task(hold("second"))
    await asyncio.sleep(0)
    turn.leave()
    assert not turn.free
    await waiting
    assert turn.free
    assert held == ["second"]


async def test_who_gives_up_waiting_no_longer_asks():
    turn = Turn()
    await turn.take()
    waiting = asyncio.create_task(turn.take())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    turn.leave()
    assert turn.free


async def test_a_holder_that_fails_lets_go():
    turn = Turn()
    with pytest.raises(ValueError, match="broke"):
        async with turn:
            raise ValueError("broke")
    assert turn.free
