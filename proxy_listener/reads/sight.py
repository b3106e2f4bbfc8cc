"""The proxies as they were at the last look, by name: one look for all who ask at about the same time.

What comes in: how to ask for all proxies, the time. What goes out: the proxies by name. The rule of this file: a look
costs as much as there are proxies, so those who wait share one.
"""

from collections.abc import Callable, Mapping, Sequence

from proxy_listener.status import Heard, ProxyStatus

NEVER = float("-inf")


class Sight:
    """``ask`` gives all proxies as they are now."""

    def __init__(self, ask: Callable[[], Sequence[ProxyStatus]]) -> None:
        self._ask = ask
        self._looked = NEVER
        self._proxies: Mapping[str, ProxyStatus] = {}

    def look(self, now: float, within: float = 0.0) -> Mapping[str, ProxyStatus]:
        """The proxies by name, as they were at most ``within`` seconds ago."""
        if now - self._looked >= within:
            self._proxies = {proxy.name: proxy for proxy in self._ask()}
            self._looked = now
        return self._proxies


def near(proxies: Mapping[str, ProxyStatus], heard: Sequence[Heard]) -> list[ProxyStatus]:
    """Those that hear a device. No other could be chosen for it."""
    return [proxies[entry.proxy] for entry in heard if entry.proxy in proxies]
