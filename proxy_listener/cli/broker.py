"""A sink's address in; whether it answers there, and whether an MQTT broker lets us in, out.

The rule of this file: it logs in and goes, under a name and below a topic of its own; nothing is published.
"""

import asyncio
import socket
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from proxy_listener.cli.machine import Finding

if TYPE_CHECKING:
    from proxy_listener.sinks.mqtt.settings import Settings

CONNECT = 3.0
"""Seconds for it to answer on its port."""


def answers(name: str, settings: Any) -> Finding:
    """Whether something listens where the sink sends to, and lets it in. ``settings`` has an ``address``."""
    host, port = settings.address
    try:
        socket.create_connection((host, port), CONNECT).close()
    except OSError as error:
        words = f"nothing answers at {host}:{port}: {error.strerror or error}; is it running, and is the host right?"
        return Finding("fail", f"sink {name}", words)
    refused = asyncio.run(refusal(settings)) if name == "mqtt" else None
    if refused is not None:
        return Finding("fail", f"sink {name}", f"{host}:{port} does not let us in: {refused}")
    return Finding("ok", f"sink {name}", f"{host}:{port} answers" + (" and lets us in" if name == "mqtt" else ""))


async def refusal(settings: "Settings") -> str | None:
    """Why the broker does not let us in, with what to do; None where it does."""
    from aiomqtt import ProtocolVersion

    from proxy_listener.sinks.mqtt.broker import Lost, connected
    from proxy_listener.sinks.mqtt.topics import Topics

    spoken = {"5": [ProtocolVersion.V5], "3.1.1": [ProtocolVersion.V311]}
    aside = Topics(f"{settings.base}/doctor", settings.prefix)
    cause = ""
    for version in spoken.get(settings.version, [ProtocolVersion.V5, ProtocolVersion.V311]):
        try:
            async with connected(settings, aside, f"doctor-{token_hex(4)}", version):
                return None
        except Lost as lost:
            cause = str(lost)
            if not lost.version:
                break
    return f"{cause}; {_advice(settings, cause)}"


def _advice(settings: "Settings", cause: str) -> str:
    plain = cause.casefold()
    if "certificate" in plain or "ssl" in plain or "tls" in plain:
        return "see tls and ca in [sink.mqtt]: ca is the file of who signed the broker's certificate"
    if "author" in plain or "user" in plain or "password" in plain:
        missing = "it wants a user and password: set them" if settings.user is None else "user or password are wrong"
        return f"{missing} in [sink.mqtt]"
    return "is it an MQTT broker, and is the port right? 8883 is usually TLS, 1883 is not"
