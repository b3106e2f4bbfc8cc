"""What ``doctor`` looks at of configuration, service and network: what is there in, findings in plain words out.

The rule of this file: every finding that is not ``ok`` says what to do.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from proxy_listener import __version__
from proxy_listener.cli import machine
from proxy_listener.cli.broker import answers
from proxy_listener.cli.machine import Finding
from proxy_listener.cli.network import BROWSE, surveyed
from proxy_listener.cli.rows import STRANGERS
from proxy_listener.cli.tables import print_json, show
from proxy_listener.cli.verb import FAILED, Listing, NotRunningError, Options, main
from proxy_listener.model.errors import ConfigError, ProxyListenerError

if TYPE_CHECKING:
    from proxy_listener.cli.client import Service
    from proxy_listener.config import Config
    from proxy_listener.proxies.survey import Found

NAMED = 3
"""Nodes that nothing is said of but their names."""

NO_NODE = (
    "no ESPHome node answers by mDNS. In a container use host networking; in another network or VLAN mDNS does not "
    "arrive: give the proxies host = ... in [[proxy]] entries. A firewall must let UDP 5353 in"
)


def examined(options: Options) -> list[Finding]:
    """Everything, in the order in which a person would look."""
    from proxy_listener.cli.client import ask  # aiohttp takes 0.2 s to import

    findings = [machine.versions(), machine.clock(time.time(), machine.synchronised())]
    findings += machine.state_directory(options.state_directory())
    try:
        config = options.load()
    except ConfigError as error:
        return [*findings, *(Finding("fail", "configuration", str(problem)) for problem in error.problems)]
    findings.append(Finding("ok", "configuration", str(config.path)))
    findings += doubtful(config)
    running = None
    try:
        running, devices = ask(options.state_directory(), _asked)
        findings += service(running)
        findings += keys(devices)
    except NotRunningError:
        findings.append(Finding("warn", "service", "not running; start it with: proxy-listener run"))
    except ProxyListenerError as error:
        findings.append(Finding("fail", "service", f"{error}; be that user, or root, or name another --state"))
    if running is None and config.web.listen:
        findings.append(machine.port(config.web.listen))
    findings += proxies(running["proxies"]) if running else network(options, config)
    findings += (answers(name, settings) for name, settings in config.sinks.items() if hasattr(settings, "address"))
    return findings


async def _asked(service: "Service") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return await service.get("/status"), await service.get("/devices")


def doubtful(config: "Config") -> Iterator[Finding]:
    """What the configuration says and probably does not mean."""
    from proxy_listener.config import doubts

    for doubt in doubts(config):
        yield Finding("warn", "configuration", str(doubt))


def service(status: dict[str, Any]) -> Iterator[Finding]:
    """The running service itself."""
    if status["version"] != __version__:
        words = f"it runs version {status['version']}, and this is {__version__}: start it anew"
        yield Finding("warn", "service", words)
    if status["storage"]["ok"]:
        yield Finding("ok", "service", f"running, process {status['pid']}")
    else:
        words = f"cannot be written: {status['storage']['error']}; is the disk full?"
        yield Finding("fail", "history", words)
    if status["storage"]["alarm"]:
        yield Finding("warn", "history", status["storage"]["alarm"])


def proxies(statuses: list[dict[str, Any]]) -> Iterator[Finding]:
    """The running service's proxies."""
    ours = [proxy for proxy in statuses if proxy["state"] not in STRANGERS]
    for proxy in ours:
        words = f"{proxy['cause']}. {proxy['advice']}" if proxy["advice"] else proxy["state"]
        yield Finding("ok" if proxy["state"] == "live" else "warn", f"proxy {proxy['name']}", words)
    yield from others([proxy["name"] for proxy in statuses if proxy not in ours], used=bool(ours))


def others(names: Sequence[str], *, used: bool) -> Iterator[Finding]:
    """Nodes of the network that the configuration does not let in; ``used``: whether any node is."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    named = ", ".join(names[:NAMED]) + more
    if names and used:
        yield Finding("ok", "other nodes", f"{named}; discover says why they are not used")
    elif names:
        words = f"the configuration lets none of these in: {named}; give it their key under [discovery], or entries"
        yield Finding("fail", "proxies", words)
    elif not used:
        yield Finding("fail", "proxies", NO_NODE)


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
        words = f"{error}; is the network up? One without mDNS wants host = ... in [[proxy]] entries"
        yield Finding("fail", "mDNS", words)
        return
    yield Finding("ok", "mDNS", f"{len(found)} nodes") if found else Finding("warn", "mDNS", "no node")
    ours = [node for node in found if not _stranger(node)]
    for node in ours:
        yield Finding("ok" if node.used or node.proxy is False else "warn", f"node {node.name}", node.why)
    yield from others([node.name for node in found if node not in ours], used=bool(ours))


def _stranger(node: "Found") -> bool:
    from proxy_listener.model.status import ProxyState
    from proxy_listener.proxies.causes import VERDICTS

    return node.why.startswith(VERDICTS[ProxyState.NOT_ACCEPTED].cause)


@main.command(cls=Listing, short_help="Say in plain words what is in the way.")
@click.pass_obj
def doctor(options: Options) -> None:
    """Look at configuration, network, proxies, keys, broker and service; say in plain words what is wrong."""
    findings = examined(options)
    if options.json:
        print_json([{"state": each.state, "what": each.what, "detail": each.detail} for each in findings])
    else:
        show(
            ("", "what", "detail"),
            [[each.state, each.what, each.detail] for each in findings],
            colored=options.colored(),
        )
    if any(each.state == "fail" for each in findings):
        sys.exit(FAILED)
