"""The verb ``doctor``: this machine, the configuration, the service and the network in, findings in plain words out.

Every finding that is not ``ok`` says what to do. Nothing is left behind: no file, no message at the broker.
"""

import asyncio
import os
import platform
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

import attrs
import click

from proxy_listener import __version__
from proxy_listener.cli.client import ServiceClient, ask
from proxy_listener.cli.discover import BROWSE, find_nodes
from proxy_listener.cli.output import print_listing
from proxy_listener.cli.rows import dial_in_in_words
from proxy_listener.cli.verb import FAILED, Listing, NotRunningError, Options, nearest_existing
from proxy_listener.config import Config, doubts
from proxy_listener.model.errors import ConfigError, ProxyListenerError
from proxy_listener.model.status import NOT_EXPECTED, ProxyState
from proxy_listener.model.text import split_endpoint
from proxy_listener.proxies.states import STATES
from proxy_listener.state import CONTROL_SOCKET, SOCKET_PATH_LIMIT

if TYPE_CHECKING:
    from proxy_listener.sinks.mqtt.settings import Settings

YEAR_2025 = 1_735_689_600
"""A clock before this was never set: the program is younger."""

DISK_FULL, DISK_LOW = 20 << 20, 500 << 20
"""Bytes free. A small house writes about 100 MB a year; SQLite needs some for its write-ahead log."""

CONNECT_TIMEOUT = 3.0
"""Seconds for a sink's server to accept a connection."""

NAMED = 3
"""Nodes that are named as not used."""

NO_NODE = (
    "no ESPHome node answers by mDNS. In a container use host networking; in another network or VLAN mDNS does not "
    "arrive: give the proxies host = ... in [[proxy]] entries. A firewall must let UDP 5353 in"
)


@attrs.frozen
class Finding:
    """The result of one check."""

    state: Literal["ok", "warn", "fail"]
    what: str
    detail: str


@click.command(cls=Listing)
@click.pass_obj
def doctor(options: Options) -> None:
    """Check configuration, network, proxies, keys, broker and service; say in plain words what is wrong."""
    findings = examine(options)
    document = [attrs.asdict(finding) for finding in findings]
    print_listing(options, document, ("", "what", "detail"), list(map(attrs.astuple, findings)))
    if any(finding.state == "fail" for finding in findings):
        sys.exit(FAILED)


def examine(options: Options) -> list[Finding]:
    """All findings, in the order in which problems should be solved."""
    findings = [versions(), clock(time.time()), *state_directory(options.state_directory())]
    try:
        config = options.load()
    except ConfigError as error:
        return [*findings, *(Finding("fail", "configuration", str(problem)) for problem in error.problems)]
    findings.append(Finding("ok", "configuration", str(config.path)))
    findings += (Finding("warn", "configuration", str(doubt)) for doubt in doubts(config))
    running = None
    try:
        running, devices = ask(options.state_directory(), _status_and_devices)
        findings += [*service(running), *keys(devices)]
    except NotRunningError:
        findings.append(Finding("warn", "service", "not running; start it with: proxy-listener run"))
    except ProxyListenerError as error:
        findings.append(Finding("fail", "service", f"{error}; be that user, or root, or name another --state"))
    if running is None:
        findings += free_ports(config)
    findings += proxies(running["proxies"]) if running else network(options, config)
    if running:
        findings += sharing(running["proxies"], configured=config.share.listen is not None)
    findings += (server(name, settings) for name, settings in config.sinks.items() if hasattr(settings, "address"))
    return findings


async def _status_and_devices(service: ServiceClient) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return await service.get("/status"), await service.get("/devices")


def versions() -> Finding:
    """The versions that a bug report needs."""
    ours = f"proxy-listener {__version__}, aioesphomeapi {version('aioesphomeapi')}"
    words = f"{ours}, Python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}"
    return Finding("ok", "versions", words)


def clock(now: float) -> Finding:
    """Whether the clock was ever set: readings carry its time."""
    if now < YEAR_2025:
        return Finding("fail", "clock", "it was never set; set up time synchronisation (systemd-timesyncd, chrony)")
    return Finding("ok", "clock", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now)))


def state_directory(state: Path) -> Iterator[Finding]:
    """Whether this user can keep a history there, whether there is space, and who else can read it."""
    there = nearest_existing(state)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        words = f"{there} is not a directory that this user can write to; name another one with --state"
        yield Finding("fail", "state directory", words)
        return
    yield Finding("ok", "state directory", str(state))
    if len(os.fsencode(state / CONTROL_SOCKET)) > SOCKET_PATH_LIMIT:
        words = f"{state} is too long for the control socket in it; name a shorter one with --state"
        yield Finding("fail", "state directory", words)
    if state.exists() and stat.S_IMODE(state.stat().st_mode) & 0o077:
        words = f"other users of this machine can look into it; fix it with: chmod 700 {state}"
        yield Finding("warn", "state directory", words)
    for file in sorted(state.glob("*.db*")):
        if not os.access(file, os.R_OK | os.W_OK):
            words = f"{file} belongs to another user, who ran the service once; fix it with: chown -R $USER {state}"
            yield Finding("fail", "history", words)
            break
    yield disk(there, shutil.disk_usage(there).free)


def disk(where: Path, free: int) -> Finding:
    """Whether there is space for the history: ``free`` is bytes."""
    shown = f"{free / (1 << 30):.1f} GB free" if free >= DISK_LOW else f"{free >> 20} MB free"
    if free < DISK_FULL:
        return Finding("fail", "disk", f"{shown} at {where}: readings cannot be stored; make room, or move it: --state")
    if free < DISK_LOW:
        return Finding("warn", "disk", f"{shown} at {where}; make room, or lower [history] max_size")
    return Finding("ok", "disk", shown)


def free_ports(config: Config) -> Iterator[Finding]:
    """Whether the ports of the configuration are free, while no service runs."""
    if config.web.listen:
        yield port("page", config.web.listen, "[web] listen")
    if config.discovery.dial_in:
        yield port("calls of nodes", config.discovery.dial_in, "[discovery] dial_in, and in the nodes' YAML")


def port(what: str, listen: str, key: str) -> Finding:
    """Whether this program could listen there."""
    place = split_endpoint(listen)
    assert place is not None  # the configuration was checked
    try:
        with socket.create_server(place, family=socket.AF_INET6 if ":" in place[0] else socket.AF_INET):
            return Finding("ok", what, f"{listen} is free")
    except OSError as error:
        words = f"{listen} cannot be used: {os.strerror(error.errno or 0)}; name another one: {key}"
        return Finding("fail", what, words)


def service(status: dict[str, Any]) -> Iterator[Finding]:
    """The running service itself."""
    if status["version"] != __version__:
        words = f"it runs version {status['version']}, and this is {__version__}: restart it"
        yield Finding("warn", "service", words)
    if status["storage"]["ok"]:
        yield Finding("ok", "service", f"running, process {status['pid']}")
    else:
        words = f"cannot be written: {status['storage']['error']}; is the disk full?"
        yield Finding("fail", "history", words)
    if (dial_in := status["dial_in"]) and dial_in["error"]:
        yield Finding("fail", "calls of nodes", dial_in_in_words(dial_in))
    if status["storage"]["alarm"]:
        yield Finding("warn", "history", status["storage"]["alarm"])


def keys(devices: list[dict[str, Any]]) -> Iterator[Finding]:
    """The running service's devices whose keys are missing or wrong."""
    for device in devices:
        what = f"device {device['name']} ({device['mac']})"
        if device["key"] == "missing":
            yield Finding("warn", what, "sends encrypted frames and has no bindkey; see: proxy-listener keys import")
        if device["key"] == "wrong":
            words = "its bindkey is wrong: it changes whenever the device is added to its app again; get the new one"
            yield Finding("fail", what, words)


def proxies(statuses: list[dict[str, Any]]) -> Iterator[Finding]:
    """The running service's proxies."""
    expected = [proxy for proxy in statuses if proxy["state"] not in NOT_EXPECTED]
    for proxy in expected:
        words = f"{proxy['cause']}. {proxy['advice']}" if proxy["advice"] else proxy["state"]
        yield Finding("ok" if proxy["state"] == "live" else "warn", f"proxy {proxy['name']}", words)
    yield from other_nodes([proxy["name"] for proxy in statuses if proxy not in expected], used=bool(expected))


def sharing(statuses: list[dict[str, Any]], *, configured: bool) -> Iterator[Finding]:
    """The running service's shared nodes: which step is missing."""
    for proxy in statuses:
        shared, lost = proxy["shared"], proxy["state"] in {"held", "taken"}
        what = f"sharing {proxy['name']}"
        if lost and not configured:
            yield Finding("warn", what, "another client has the stream; with [share] both can: docs/sharing.md")
        elif lost and shared is not None:
            words = (
                "another client still has the proxy itself; in Home Assistant, remove its entry under ESPHome in "
                "Settings, Devices & services, and add the shared node instead: docs/sharing.md"
            )
            yield Finding("warn", what, words)
        elif shared is not None and shared["problem"]:
            yield Finding("warn", what, shared["problem"])
        elif shared is not None:
            count = len(shared["clients"])
            clients = f"{count} connected" if count else "nobody is connected; in Home Assistant, add it under ESPHome"
            yield Finding("ok", what, f"{shared['name']}, port {shared['port']}: {clients}")


def network(options: Options, config: Config) -> Iterator[Finding]:
    """Without a running service: mDNS, and every node that it shows."""
    try:
        found = find_nodes(config.discovery, config.proxies, options.state_directory(), BROWSE)
    except ProxyListenerError as error:
        words = f"{error}; is the network up? One without mDNS needs host = ... in [[proxy]] entries"
        yield Finding("fail", "mDNS", words)
        return
    yield Finding("ok", "mDNS", f"{len(found)} nodes") if found else Finding("warn", "mDNS", "no node")
    not_accepted = STATES[ProxyState.NOT_ACCEPTED].cause
    accepted = [node for node in found if not node.why.startswith(not_accepted)]
    for node in accepted:
        yield Finding("ok" if node.used or node.proxy is False else "warn", f"node {node.name}", node.why)
    yield from other_nodes([node.name for node in found if node not in accepted], used=bool(accepted))


def other_nodes(names: Sequence[str], *, used: bool) -> Iterator[Finding]:
    """Nodes that the configuration does not accept. ``used``: whether any node is accepted."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    named = ", ".join(names[:NAMED]) + more
    if names and used:
        yield Finding("ok", "other nodes", f"{named}; discover says why they are not used")
    elif names:
        words = f"the configuration lets none of these in: {named}; give it their key under [discovery], or entries"
        yield Finding("fail", "proxies", words)
    elif not used:
        yield Finding("fail", "proxies", NO_NODE)


def server(name: str, settings: Any) -> Finding:
    """Whether the sink's server accepts a connection, and an MQTT broker the login. ``settings`` has an ``address``."""
    host, port = settings.address
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT).close()
    except OSError as error:
        words = f"nothing answers at {host}:{port}: {error.strerror or error}; is it running, and is the host right?"
        return Finding("fail", f"sink {name}", words)
    refused = asyncio.run(_broker_refusal(settings)) if name == "mqtt" else None
    if refused is not None:
        return Finding("fail", f"sink {name}", f"{host}:{port} does not let us in: {refused}")
    return Finding("ok", f"sink {name}", f"{host}:{port} answers" + (" and lets us in" if name == "mqtt" else ""))


async def _broker_refusal(settings: "Settings") -> str | None:
    """Why the broker refuses the login, with what to do; None where it accepts. It logs in with a client id and topics
    of its own, so that a running service keeps its session.
    """
    # The MQTT client is an optional extra. A configuration with an MQTT sink was loaded, so it is installed.
    from aiomqtt import ProtocolVersion

    from proxy_listener.sinks.mqtt.broker import connect
    from proxy_listener.sinks.mqtt.client import Lost
    from proxy_listener.sinks.mqtt.topics import Topics

    spoken = {"5": [ProtocolVersion.V5], "3.1.1": [ProtocolVersion.V311]}
    topics = Topics(f"{settings.base}/doctor", settings.prefix)
    cause = ""
    for protocol in spoken.get(settings.version, [ProtocolVersion.V5, ProtocolVersion.V311]):
        try:
            async with connect(settings, topics, f"doctor-{token_hex(4)}", protocol):
                return None
        except Lost as lost:
            cause = str(lost)
            if not lost.version:
                break
    return f"{cause}; {_broker_advice(settings, cause)}"


def _broker_advice(settings: "Settings", cause: str) -> str:
    plain = cause.casefold()
    if "certificate" in plain or "ssl" in plain or "tls" in plain:
        return "see tls and ca in [sink.mqtt]: ca is the file of the authority that signed the broker's certificate"
    if "author" in plain or "user" in plain or "password" in plain:
        missing = "it wants a user and password: set them" if settings.user is None else "user or password are wrong"
        return f"{missing} in [sink.mqtt]"
    return "is it an MQTT broker, and is the port right? 8883 is usually TLS, 1883 is not"
