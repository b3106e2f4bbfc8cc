"""Reads all proxies' sockets together: an event loop whose selector looks at slow sockets at most once per window.

::

    fast  epoll of every other socket: control socket, page, handshakes, connections to devices
    slow  epoll of the proxies' advertisement streams
    both  epoll of these two epolls

    open     wait on both; when slow has something, read all of it and close for the window
    closed   wait on fast only, until the window ends at the latest

Waking up for one packet of one to three advertisements costs many times what handling it does (measured: 25 of 32 CPU
seconds per million). Invariants: timers and fast sockets never wait; the window closes only while it would catch two
messages or more, so a small house keeps its latency.
"""

import asyncio
import select
import selectors
import time
from collections import ChainMap
from collections.abc import Callable, Mapping
from contextvars import Context
from math import ceil
from typing import Any, TypeVarTuple

_WORTH = 2.0
"""Messages that a window must be expected to catch: with one, waiting saves nothing."""
_MEASURED = 0.25
"""Seconds over which the message rate is measured."""

_FAR = 2.0
_GRID = 0.5
"""Seconds: timers so far away come at multiples of the grid."""

_Arguments = TypeVarTuple("_Arguments")


class CoalescingSelector(selectors.BaseSelector):
    """A selector with two classes of sockets; :meth:`slow` and :meth:`fast` move a socket between them."""

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._fast = selectors.EpollSelector()
        self._slow = selectors.EpollSelector()
        self._both = select.epoll(2)
        for one in (self._fast, self._slow):
            self._both.register(one.fileno(), select.EPOLLIN)
        self._opens = 0.0
        self._rate = 0.0
        self._counted = 0
        self._counted_from = 0.0

    def slow(self, fd: int) -> None:
        """Read this socket together with the other slow ones."""
        _move(fd, self._fast, self._slow)

    def fast(self, fd: int) -> None:
        """Read this socket as soon as it is ready."""
        _move(fd, self._slow, self._fast)

    def _selector_of(self, fileobj: Any) -> selectors.EpollSelector:
        try:
            return self._slow if fileobj in self._slow.get_map() else self._fast
        except ValueError:  # a closed socket that is not registered
            return self._fast

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register a socket, as a fast one."""
        return self._fast.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Unregister a socket of either class."""
        return self._selector_of(fileobj).unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change the events of a socket, which keeps its class."""
        return self._selector_of(fileobj).modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """The registration of a socket. KeyError where there is none."""
        return self._selector_of(fileobj).get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """The sockets of both classes."""
        return ChainMap(self._fast.get_map(), self._slow.get_map())  # type: ignore[arg-type]

    def close(self) -> None:
        """Close all three epolls."""
        self._both.close()
        self._slow.close()
        self._fast.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready: fast sockets at any time, slow ones while the window is open."""
        if not self._slow.get_map():
            return self._fast.select(timeout)
        left = self._opens - self._clock()
        if left > 0.0:
            if timeout is None or timeout > left:
                ready = self._fast.select(left)
                if ready or self._clock() < self._opens:
                    return ready
                return self._look()
            return self._fast.select(timeout)
        waited = -1 if timeout is None else ceil(max(timeout, 0.0) * 1000) / 1000
        ready = []
        for fd, _ in self._both.poll(waited, 2):
            ready += self._look() if fd == self._slow.fileno() else self._fast.select(0)
        return ready

    def _look(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Take what all slow sockets have, and close the window if that saves wake-ups."""
        ready = self._slow.select(0)
        now = self._clock()
        self._counted += len(ready)
        elapsed = now - self._counted_from
        if elapsed >= _MEASURED:
            self._rate = self._counted / elapsed
            self._counted, self._counted_from = 0, now
        if self._rate * self._window >= _WORTH:
            self._opens = now + self._window
        return ready


class CoalescingEventLoop(asyncio.SelectorEventLoop):
    """An event loop over a :class:`CoalescingSelector`; ``window`` in seconds.

    Timers that are seconds away are gathered, too: each proxy's session has timers of its own, and fifty proxies that
    send nothing would wake the process at fifty different moments.
    """

    def __init__(self, window: float) -> None:
        self.sockets = CoalescingSelector(window)
        super().__init__(self.sockets)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio's; a timer that is :data:`_FAR` or more away may come up to :data:`_GRID` later."""
        if when - self.time() >= _FAR:
            when = ceil(when / _GRID) * _GRID
        return super().call_at(when, callback, *args, context=context)


def event_loop(window: float) -> asyncio.AbstractEventLoop:
    """The loop for ``[service] coalesce``; a plain one where that is 0, or where the system has no epoll."""
    if window > 0.0 and hasattr(select, "epoll"):
        return CoalescingEventLoop(window)
    return asyncio.new_event_loop()


def _move(fd: int, source: selectors.EpollSelector, target: selectors.EpollSelector) -> None:
    if fd in source.get_map():
        key = source.unregister(fd)
        target.register(key.fileobj, key.events, key.data)
