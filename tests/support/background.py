"""An asynchronous server in a thread of its own, beside a test that blocks."""

import asyncio
import threading
from contextlib import contextmanager


@contextmanager
def in_thread(context):
    """Enter the asynchronous context manager in an event loop of another thread, and give what it gives."""
    ready, done = threading.Event(), threading.Event()
    entered = []

    async def live() -> None:
        async with context as value:
            entered.append(value)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield entered[0]
    finally:
        done.set()
        thread.join()
