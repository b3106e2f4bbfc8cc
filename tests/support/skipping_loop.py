"""An event loop whose clock a test moves on, so that a wait of seconds takes none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LOOKS = 20
"""Turns of the loop between two seconds."""


class SkippingLoop(asyncio.SelectorEventLoop):
    """A real loop over real sockets; :meth:`skip` moves its clock on."""

    skipped = 0.0
    unhandled = 0

    def time(self) -> float:
        return super().time() + self.skipped

    def skip(self, seconds: float) -> None:
        """Everything that waits for this long is due."""
        self.skipped += seconds

    async def skip_until(self, condition: Callable[[], object], seconds: float) -> None:
        """Skip second by second until the condition holds. TimeoutError where that takes more of the loop's seconds."""
        for _ in range(int(seconds)):
            for _ in range(LOOKS):
                if condition():
                    return
                await asyncio.sleep(0)
                await asyncio.to_thread(lambda: None)  # sockets and other threads have their turn
            self.skip(1.0)
        raise TimeoutError

    def call_exception_handler(self, context: dict[str, object]) -> None:
        """Count what asyncio would log with a traceback."""
        self.unhandled += 1
        super().call_exception_handler(context)


def run_skipping(test: Callable[[SkippingLoop], Awaitable[T]]) -> T:
    """Run a test in such a loop."""
    loop = SkippingLoop()

    async def run() -> T:
        return await test(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(run())
