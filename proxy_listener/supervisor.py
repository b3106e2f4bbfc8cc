"""The supervisor of the service's parts: coroutine functions in, tasks that are restarted when they fail out.

No part can stop another. A part that fails is restarted after growing pauses; a part that does not end when it is
stopped is waited for no longer than :data:`STOP_TIMEOUT`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

import structlog

from proxy_listener.model.errors import ProxyListenerError

log = structlog.get_logger()

PAUSES = (1.0, 5.0, 30.0, 60.0)
"""Seconds before a part that failed is started again."""

STOP_TIMEOUT = 3.0
"""Seconds that a part has to end: disconnecting from proxies that do not answer takes half of it."""

Part: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Supervisor:
    """Runs named parts, one task for each name."""

    def __init__(self, pauses: Sequence[float] = PAUSES, stop_timeout: float = STOP_TIMEOUT) -> None:
        self._pauses = pauses
        self._stop_timeout = stop_timeout
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Parts that were started and have neither returned nor been stopped."""
        return list(self._tasks)

    def running(self, names: frozenset[str]) -> bool:
        """Whether all of these run now; a part that waits to be restarted does not."""
        return self._running >= names

    def start(self, name: str, part: Part) -> None:
        """Run the part until it returns or is stopped. A part that already runs under this name is cancelled."""
        if name in self._tasks:
            self._tasks[name].cancel()
        task = self._tasks[name] = asyncio.create_task(self._supervise(name, part), name=name)
        task.add_done_callback(lambda task: self._tasks.get(name) is task and self._tasks.pop(name))

    async def stop(self, name: str) -> bool:
        """Cancel the part and wait for its end. False where it does not end in time."""
        task = self._tasks.pop(name, None)
        if task is None:
            return True
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=self._stop_timeout)
        if not done:
            log.error("a part does not end", part=name)
        return bool(done)

    async def wait(self, seconds: float) -> None:
        """Wait until all parts have returned by themselves, at most for so long."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)

    async def _supervise(self, name: str, part: Part) -> None:
        clock = asyncio.get_running_loop().time
        attempt = 0
        while True:
            began = clock()
            self._running.add(name)
            try:
                return await part()
            except Exception as error:  # noqa: BLE001  whatever a part raises, the others go on
                if clock() - began > self._pauses[-1]:
                    attempt = 0
                pause = self._pauses[min(attempt, len(self._pauses) - 1)]
                attempt += 1
                expected = isinstance(error, (OSError, ProxyListenerError))
                detail: dict[str, Any] = {"error": str(error)} if expected else {"exc_info": error}
                log.error("a part failed and is started again", part=name, seconds=pause, **detail)  # noqa: TRY400  expected errors need no traceback
            finally:
                self._running.discard(name)
            await asyncio.sleep(pause)
