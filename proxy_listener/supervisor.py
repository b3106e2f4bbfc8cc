"""The parts of a service, side by side: coroutine functions in, tasks that are kept going out.

The rule of this file: no part can stop another. One that fails is started again, more and more slowly; one that does
not end when told to is waited for no longer than :data:`ENDING`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

import structlog

from proxy_listener.model.errors import ProxyListenerError

log = structlog.get_logger()

PAUSES = (1.0, 5.0, 30.0, 60.0)
"""Seconds before a part that failed is started again."""
ENDING = 3.0
"""Seconds that a part has to end: leaving proxies that do not answer takes half of it."""

Part: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Parts:
    """Named parts; a name is started once at a time."""

    def __init__(self, pauses: Sequence[float] = PAUSES, ending: float = ENDING) -> None:
        self._pauses = pauses
        self._ending = ending
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._at_work: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Those that were started and have neither come to their end nor been ended."""
        return list(self._tasks)

    def at_work(self, names: frozenset[str]) -> bool:
        """Whether all of these run now, none of them waiting to be started again."""
        return self._at_work >= names

    def start(self, name: str, part: Part) -> None:
        """Run it until it returns, or is ended; in place of one of that name."""
        if name in self._tasks:
            self._tasks[name].cancel()
        task = self._tasks[name] = asyncio.create_task(self._keep(name, part), name=name)
        task.add_done_callback(lambda task: self._tasks.get(name) is task and self._tasks.pop(name))

    async def end(self, name: str) -> bool:
        """False where it does not end."""
        task = self._tasks.pop(name, None)
        if task is None:
            return True
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=self._ending)
        if not done:
            log.error("a part does not end", part=name)
        return bool(done)

    async def wait(self, seconds: float) -> None:
        """Let them come to their end by themselves, for so long."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)

    async def _keep(self, name: str, part: Part) -> None:
        clock = asyncio.get_running_loop().time
        attempt = 0
        while True:
            began = clock()
            self._at_work.add(name)
            try:
                return await part()
            except Exception as error:  # noqa: BLE001  whatever a part raises, the others go on
                if clock() - began > self._pauses[-1]:
                    attempt = 0
                pause = self._pauses[min(attempt, len(self._pauses) - 1)]
                attempt += 1
                expected = isinstance(error, (OSError, ProxyListenerError))
                detail: dict[str, Any] = {"error": str(error)} if expected else {"exc_info": error}
                log.error("a part failed and is started again", part=name, seconds=pause, **detail)  # noqa: TRY400  what is expected has no traceback
            finally:
                self._at_work.discard(name)
            await asyncio.sleep(pause)
