"""What the API can ask of the rest of the house, as callables that app hands in.

The rule of this file: it is the only door from web to reads, routing and proxies, and it imports none of them. What
the callables answer with are attrs values; their fields are those of the schema of that name in
:mod:`proxy_listener.web.openapi`, and further ones as they like.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import attrs

from proxy_listener.model.advertisement import Address

Values: TypeAlias = attrs.AttrsInstance
Tell: TypeAlias = Callable[[Values], None]
"""Takes a ``Progress``."""


def _nobody(_mac: Address) -> Sequence[Values]:
    return ()


@attrs.frozen
class Actions:
    """The callables. One that is None is a route of the API that answers 501.

    ``route`` gives each ``Candidate`` for a read, best first. ``read`` takes a MAC, whether the log is wanted too, and
    whom to tell of progress; it gives a ``ReadReport``, and cancelling it ends the read cleanly. ``coverage`` gives a
    ``Coverage``. ``stream`` gives capture lines (without the line's end) from its call on; it is bounded on app's
    side. ``metrics`` gives a content type and a body. ``units``: quantity -> its unit, of those that are numbers.
    """

    route: Callable[[Address], Sequence[Values]] = _nobody
    read: Callable[[Address, bool, Tell], Awaitable[Values]] | None = None
    coverage: Callable[[], Awaitable[Values]] | None = None
    stream: Callable[[], AsyncGenerator[str, None]] | None = None
    metrics: Callable[[], tuple[str, bytes]] | None = None
    units: Mapping[str, str] = attrs.field(factory=dict)
