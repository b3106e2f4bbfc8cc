"""An event loop whose clock a test moves on, so that a wait of seconds takes none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class SkippingLoop(asyncio.SelectorEventLoop):
    """A real loop over real sockets; :meth:`skip` moves its clock on."""

    skipped = 0.0
    unhandled = 0

    def time(self) -> float:
        return super().time() + self.skipped

    def skip(self, seconds: float) -> None:
        """Everything that waits for this long is due."""
        self.skipped += seconds

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
