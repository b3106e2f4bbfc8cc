"""What ``doctor`` looks at, one function each: what is there in, findings in plain words out.

The rule of this file: every finding that is not ``ok`` says what to do.
"""

import os
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import attrs

from proxy_listener.cli.client import ask
from proxy_listener.cli.network import BROWSE, surveyed
from proxy_listener.cli.verb import NotRunningError, Options
from proxy_listener.errors import ConfigError, ProxyListenerError

if TYPE_CHECKING:
    from proxy_listener.config import Config

CONNECT = 3.0
"""Seconds for a broker to answer on its port."""

BUILT = 1_750_000_000
"""June 2025: a clock before this was never set."""

NO_NODE = (
    "no ESPHome node answers by mDNS. In a container use host networking; in another network or VLAN mDNS does not "
    "arrive: give the proxies host = ... in [[proxy]] entries. A firewall must let UDP 5353 in"
)


@attrs.frozen
class Finding:
    """One thing looked at."""

    state: Literal["ok", "warn", "fail"]
    what: str
    detail: str


def examined(options: Options) -> list[Finding]:
    """Everything, in the order in which a person would look."""
    findings = [clock(time.time())]
    try:
        config = options.load()
    except ConfigError as error:
        return [*findings, *(Finding("fail", "configuration", str(problem)) for problem in error.problems)]
    findings.append(Finding("ok", "configuration", str(config.path)))
    findings += doubtful(config)
    findings += state_directory(options)
    running = None
    try:
        running = ask(options.state_directory(), lambda service: service.get("/status"))
        devices = ask(options.state_directory(), lambda service: service.get("/devices"))
        findings += service(running)
        findings += keys(devices)
    except NotRunningError:
        findings.append(Finding("warn", "service", "not running; start it with: proxy-listener run"))
    except ProxyListenerError as error:
        findings.append(Finding("fail", "service", str(error)))
    findings += proxies(running["proxies"]) if running else network(options, config)
    findings += brokers(config)
    return findings


def clock(now: float) -> Finding:
    """Readings carry the wall's time."""
    if now < BUILT:
        return Finding("fail", "clock", "it was never set; set up time synchronisation (systemd-timesyncd, chrony)")
    return Finding("ok", "clock", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now)))


def doubtful(config: "Config") -> Iterator[Finding]:
    """What the configuration says and probably does not mean."""
    from proxy_listener.config import doubts

    for doubt in doubts(config):
        yield Finding("warn", "configuration", str(doubt))


def state_directory(options: Options) -> Iterator[Finding]:
    """Whether this user can keep a history there."""
    state = options.state_directory()
    there = next(path for path in (state, *state.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("fail", "state directory", f"{there} is not a directory that this user can write to; see --state")
    else:
        yield Finding("ok", "state directory", str(state))


def service(status: dict[str, Any]) -> Iterator[Finding]:
    """The running service itself."""
    if status["storage"]["ok"]:
        yield Finding("ok", "service", f"running, process {status['pid']}")
    else:
        words = f"cannot be written: {status['storage']['error']}; is the disk full?"
        yield Finding("fail", "history", words)
    if status["storage"]["alarm"]:
        yield Finding("warn", "history", status["storage"]["alarm"])


def proxies(statuses: list[dict[str, Any]]) -> Iterator[Finding]:
    """The running service's proxies."""
    if not statuses:
        yield Finding("warn", "proxies", NO_NODE)
    for proxy in statuses:
        words = f"{proxy['cause']}. {proxy['advice']}" if proxy["advice"] else proxy["state"]
        yield Finding("ok" if proxy["state"] == "live" else "warn", f"proxy {proxy['name']}", words)


def keys(devices: list[dict[str, Any]]) -> Iterator[Finding]:
    """The running service's devices, as far as a person must do something about their keys."""
    for device in devices:
        what = f"device {device['name']} ({device['mac']})"
        if device["key"] == "missing":
            yield Finding("warn", what, "sends encrypted frames and has no bindkey; see: proxy-listener keys import")
        if device["key"] == "wrong":
            words = "its bindkey is wrong: it changes whenever the device is added to the Xiaomi app again; get it anew"
            yield Finding("fail", what, words)


def network(options: Options, config: "Config") -> Iterator[Finding]:
    """Without a running service: mDNS, and every node that it shows."""
    try:
        found = surveyed(config.discovery, config.proxies, options.state_directory(), BROWSE)
    except ProxyListenerError as error:
        yield Finding("fail", "mDNS", f"{error}; give the proxies host = ... in [[proxy]] entries")
        return
    yield Finding("ok", "mDNS", f"{len(found)} nodes") if found else Finding("warn", "mDNS", NO_NODE)
    for node in found:
        yield Finding("ok" if node.used or node.proxy is False else "warn", f"node {node.name}", node.why)


def brokers(config: "Config") -> Iterator[Finding]:
    """Whether something listens where each sink that has an address (host, port) sends to."""
    for name, settings in config.sinks.items():
        if not hasattr(settings, "address"):
            continue
        host, port = settings.address
        try:
            socket.create_connection((host, port), CONNECT).close()
            yield Finding("ok", f"sink {name}", f"{host}:{port} answers")
        except OSError as error:
            words = (
                f"nothing answers at {host}:{port}: {error.strerror or error}; is it running, and is the host right?"
            )
            yield Finding("fail", f"sink {name}", words)
