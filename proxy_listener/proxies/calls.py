"""Calls of one node: a connection that it opened in; a session whose key is proved out, for its proxy to go on with.

Invariants: nothing of the proxy changes before the caller proved the key, and a session that is up is never ended for a
call: whoever calls may be anybody (docs/protocol/threats.md#l10).
"""

from collections.abc import Callable

import attrs
from aioesphomeapi.core import APIConnectionError

from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.client import NodeInfo
from proxy_listener.proxies.dial_in import Caller
from proxy_listener.proxies.session import ProxySession
from proxy_listener.proxies.states import STATES, Diagnosis, diagnose

_CONNECTED = Diagnosis(ProxyState.LIVE, "a session with this node is up, and no call ends one", "")


@attrs.frozen
class Call:
    """A session that the node opened."""

    session: ProxySession
    node: NodeInfo
    address: str


class Calls:
    """``connected`` says whether a session is up; ``adopted`` is called when a call waits in ``waiting``.

    ``refusal``: why the last call that claimed to be of this node was refused; None once one was adopted.
    """

    def __init__(self, connected: Callable[[], bool], adopted: Callable[[], None], clock: Callable[[], float]) -> None:
        self._connected = connected
        self._adopted = adopted
        self._clock = clock
        self._barred = NEVER
        self.waiting: Call | None = None
        self.refusal: str | None = None

    def bar(self, until: float) -> None:
        """Take no call until then: the node misbehaved."""
        self._barred = until

    def next(self) -> Call | None:
        """The call to go on with, which waits no more."""
        call, self.waiting = self.waiting, None
        return call

    async def hang_up(self) -> None:
        """End the call that waits, if one does."""
        if (call := self.next()) is not None:
            await call.session.close()

    async def answer(self, caller: Caller, session: ProxySession | Diagnosis) -> Diagnosis | None:
        """Shake hands. Why the call is refused, perhaps without a session; None where it is adopted."""
        if isinstance(session, Diagnosis):
            refused: Diagnosis | None = session
        else:
            refused = self._refused() or await self._shake_hands(caller, session)
        if refused is None:
            self.refusal = None
            self._adopted()
        elif refused is not _CONNECTED:
            self.refusal = f"{caller.address} called with its MAC, and was refused: {refused.cause}"
        return refused

    async def _shake_hands(self, caller: Caller, session: ProxySession) -> Diagnosis | None:
        refused: Diagnosis | None = None
        try:
            node = await session.adopt(caller.sock)
            refused = self._refused()
            if refused is None:
                self.waiting = Call(session, node, caller.address)
        except (APIConnectionError, OSError, TimeoutError) as error:
            refused = diagnose(error)
        finally:
            if self.waiting is None or self.waiting.session is not session:
                await session.close()
        return refused

    def _refused(self) -> Diagnosis | None:
        if self.waiting is not None or self._connected():
            return _CONNECTED
        return STATES[ProxyState.BENCHED] if self._clock() < self._barred else None
