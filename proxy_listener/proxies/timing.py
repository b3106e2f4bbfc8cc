"""How long the edge waits for what, in seconds: one value, so that tests can live faster than houses do.

The numbers come from measurements of real firmware and of the client library; each says which.
"""

import attrs


@attrs.frozen
class Timing:
    """All waits of :mod:`proxy_listener.proxies`."""

    attempt: float = 20.0
    """One connect attempt, from the first byte to the subscription. The library alone would allow 30 + 60 + 60 s."""
    dial: float = 4.0
    """Of that, to open the TCP connection: the kernel sends SYN at 0, 1 and 3 s, and the next attempt at 5."""
    handshake: float = 5.0
    """Of that, for the handshake of a node that is not known to be slow: a proxy needs less than one. A node that took
    longer has the whole attempt the next time, in a lane where it keeps only the slow ones waiting."""
    spacing: float = 5.0
    """Between two attempts that reach one proxy, at least, whatever mDNS says; it is the usual wait, too."""
    redial: float = 1.0
    """After a dial that nobody answered, where an announcement says that the node is back; once in ``spacing``."""
    stranger_spacing: float = 300.0
    """Up to which the wait grows for an unlisted node that never once proved itself."""
    auth: float = 60.0
    """After an error that only a person can mend (key, password, wrong node); nothing shortens it."""
    full: float = 10.0
    """After the node closed the connection for want of a client slot."""
    search: float = 10.0
    """After which a proxy that mDNS has not shown, or that has not answered since the start, is called unreachable."""
    settle: float = 600.0
    """After an answer that changes only with new firmware: another API version, no stream, not a proxy."""
    keepalive: float = 4.0
    """Ping interval. The library asks after one or two quiet ones and gives up 4.5 later: a dead link is noticed in 22
    to 26 s (6.0 was measured to take up to 38 s)."""
    probe: float = 1.5
    """An announcement of a node whose session is up makes us ask it; without an answer in this time, reconnect."""
    probe_spacing: float = 5.0
    """Between two such questions."""
    state: float = 2.0
    """Firmware that tells its scanner state does so at once to the client that holds the stream, to no other."""
    held: tuple[float, ...] = (10.0, 30.0, 60.0)
    """Between subscriptions while another client holds the stream; the last one repeats."""
    silence: float = 60.0
    """Without an advertisement while other proxies hear some: silent."""
    silence_alone: float = 300.0
    """The same where no other proxy can tell: as long as the firmware's scan cycle."""
    rung: float = 20.0
    """Between the steps of the ladder for a silent scanner."""
    wedged: float = 120.0
    """Between subscriptions after the last step of the ladder."""
    taken: float = 300.0
    """Before a stream that another client took is asked for again; doubles, up to twelve times this."""
    insist: float = 10.0
    """The same for an entry with ``insist = true``."""
    bench: float = 300.0
    """For which a proxy that misbehaves is left alone."""
    flood: float = 4.0
    """For which more than ``flood_rate`` advertisements per second make a flood: benched within 5 s."""
    flood_rate: int = 2000
    """Advertisements per second that no radio hears: an ESP32 forwards a few hundred."""
    leave: float = 1.5
    """To leave all proxies cleanly when the service stops."""
    tick: float = 0.5
    """Between looks at the streams."""
    resolve: float = 3.0
    """For a service's missing mDNS records."""
