"""All waits and time limits of this room, in seconds: two values, so that tests can use shorter ones.

The numbers come from measurements of real firmware and of the client library (docs/protocol/esphome-proxy.md#sessions).
"""

import attrs


@attrs.frozen
class ProxyTiming:
    """For sessions with proxies and their advertisement streams."""

    attempt: float = 20.0
    """One connect attempt, from the first byte to the subscription. The library alone would allow 30 + 60 + 60 s."""
    dial: float = 4.0
    """Of that, to open the TCP connection: the kernel sends SYN at 0, 1 and 3 s, and the next attempt is at 5."""
    handshake: float = 5.0
    """Of that, for the handshake of a node that is not known to be slow: a proxy needs less than 1 s. A node that took
    longer has the whole attempt the next time, but competes with slow nodes only."""
    spacing: float = 5.0
    """Between two attempts that reach one proxy, at least, whatever mDNS says; also the usual wait."""
    redial: float = 1.0
    """After an unanswered dial, where an announcement says that the node is back; once in ``spacing``."""
    unlisted_spacing: float = 300.0
    """Up to which the wait doubles for an unlisted node that never proved a key."""
    auth: float = 60.0
    """After an error that only a person can repair (key, password, wrong node); no announcement shortens it."""
    full: float = 10.0
    """After the node closed the connection because its client limit is reached."""
    search: float = 10.0
    """After which a proxy that mDNS has not shown, or that has not answered since the start, is called unreachable."""
    settle: float = 600.0
    """After an answer that changes only with new firmware: another API version, no stream, not a proxy."""
    keepalive: float = 4.0
    """Ping interval. The library pings after one or two intervals without a message and gives up 4.5 intervals later: a
    dead link is noticed in 22 to 26 s (6.0 was measured to take up to 38 s)."""
    probe: float = 1.5
    """A node whose session is up and that announces itself is asked; without an answer in this time, reconnect."""
    probe_spacing: float = 5.0
    """Between two such questions."""
    state: float = 2.0
    """Firmware that reports its scanner state does so at once to the client that holds the stream, to no other."""
    held: float = 10.0
    """Between subscriptions while another client holds the stream: they cost nothing on an open session."""
    quiet: float = 5.0
    """Without an advertisement: a node whose newest client gets the stream is asked whether it is still ours. After two
    such questions that it leaves unanswered, which is 12 s, the stream is taken."""
    brief_silence: float = 15.0
    """As ``silence``, for a proxy that would have heard fifteen advertisements in this time."""
    silence: float = 60.0
    """Without an advertisement while other proxies hear some: silent."""
    silence_alone: float = 300.0
    """The same where no other proxy can tell: as long as the firmware's scan cycle."""
    reap: float = 160.0
    """For which old firmware may keep a session that did not end cleanly: 151.2 s were measured."""
    recovery_step: float = 20.0
    """Between the steps that try to revive a silent scanner."""
    wedged: float = 120.0
    """Between subscriptions after the last of these steps."""
    taken_once: float = 30.0
    """Before a stream that another client took is asked for again, the first time: most visits are short, and the
    firmware does not tell when they end."""
    taken: float = 300.0
    """The same where it is taken again within an hour; doubles, up to twelve times this."""
    insist: float = 10.0
    """The same for an entry with ``insist = true``."""
    bench: float = 300.0
    """For which a proxy that misbehaves is not connected to."""
    flood: float = 1.0
    """Seconds of ``flood_rate`` that may come at once, such as after a stall; beyond that the proxy is benched."""
    flood_rate: int = 2000
    """Advertisements per second that no radio hears: an ESP32 forwards a few hundred."""
    stray: float = 15.0
    """For which all slots are taken before links that nobody here asked for are closed: a read takes 3 to 6 s, and a
    link that fails to open holds its slot for 12 s."""
    leave: float = 1.5
    """To disconnect from all proxies cleanly when the service stops."""
    tick: float = 1.0
    """Between two judgements of the streams."""
    identify: float = 10.0
    """For the hello of a node that calls: it sends it at once, perhaps over a slow line."""
    rebind: float = 10.0
    """Between attempts to open the port that nodes call."""
    resolve: float = 3.0
    """For a service's missing mDNS records."""


@attrs.frozen
class GattTiming:
    """For connections to devices."""

    connect: float = 21.5
    """The proxy itself gives up after 20 s. Giving up before it leaves the slot taken for 12 s more (2026.6)."""

    services: float = 6.0
    operation: float = 4.0
    disconnect: float = 1.5
    release: float = 1.5
    settle: float = 0.3
    """Firmware before 2026.8 reports a lost link twice; a connection requested in between takes the second report for
    its own (docs/protocol/esphome-proxy.md#double-disconnect-report)."""

    slots: float = 1.0
    first: float = 8.0
    """For the first question of a connection, whose answer shows how long a round trip to the proxy takes. A proxy that
    does not answer it in this time cannot be read through."""

    def stretched(self, round_trip: float) -> "GattTiming":
        """The same for a proxy that takes so long to answer. The waits without a request stay as they are."""
        waits = ("connect", "services", "operation", "disconnect", "slots", "first")
        longer: dict[str, float] = {name: getattr(self, name) + round_trip for name in waits}
        return attrs.evolve(self, **longer, release=self.release + 2 * round_trip)
