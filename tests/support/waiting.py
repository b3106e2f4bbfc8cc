"""A bounded wait for what signals nothing: a file, a log, another process."""

import asyncio
from collections.abc import Callable

PATIENCE = 20.0
LOOK_EVERY = 0.01


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Until the condition holds. TimeoutError where that takes too long."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110  nothing signals what is waited for
            await asyncio.sleep(LOOK_EVERY)
