"""The verbs that look at the network: ``discover``, ``init``. They connect and ask, and never subscribe."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy_listener.cli.deployment import FILES, deployment, doubt
from proxy_listener.cli.tables import cell, print_json, show
from proxy_listener.cli.verb import Listing, Options, Verb, main, nearest
from proxy_listener.model.errors import ProxyListenerError

if TYPE_CHECKING:
    from proxy_listener.cli.beginning import Beginning
    from proxy_listener.model.secret import Secret
    from proxy_listener.model.settings import DiscoverySettings, ProxySettings
    from proxy_listener.proxies.survey import Found

NODE_HEAD = ("node", "room", "address", "mac", "version", "proxy", "used", "why")

PAGE = "127.0.0.1:8099"

NEXT = (
    ("keys import FILE", "the bindkeys of encrypted sensors, from a key extractor's file"),
    ("check", "what would run"),
    ("doctor", "what is in the way"),
    ("run", "listen"),
    ("init --print systemd", "the unit that does so from every start of the machine on"),
)

BROWSE = 3.0
"""Seconds of mDNS: nodes answer within one, and the question is repeated after one and after two more."""


def surveyed(
    discovery: "DiscoverySettings", proxies: "Sequence[ProxySettings]", state: Path | None, seconds: float
) -> "list[Found]":
    """The nodes on the network. ProxyListenerError where there is no network."""
    from proxy_listener.proxies.survey import survey

    try:
        return asyncio.run(survey(discovery, proxies, state=state, seconds=seconds))
    except OSError as error:
        raise ProxyListenerError(f"mDNS cannot be used here: {error.strerror or error}") from None


def node_row(found: "Found") -> list[object]:
    """A node as cells."""
    from proxy_listener.model.advertisement import mac_text

    mac = None if found.mac is None else mac_text(found.mac)
    return [found.name, found.room, found.address, mac, found.version, found.proxy, found.used, found.why]


@main.command(cls=Listing, short_help="Find ESPHome nodes, and say which are used.")
@click.option("--seconds", type=click.FloatRange(1, 60), default=BROWSE, show_default=True, help="How long to look.")
@click.pass_obj
def discover(options: Options, seconds: float) -> None:
    """Find ESPHome nodes by mDNS, and say which are proxies and which would be used."""
    config = options.load_or_default()
    found = surveyed(config.discovery, config.proxies, options.state_directory(), seconds)
    if options.json:
        print_json([dict(zip(NODE_HEAD, node_row(each), strict=True)) for each in found])
        return
    if not found:
        click.echo("no ESPHome node answers by mDNS; doctor says what may stand in the way", err=True)
        return
    show(NODE_HEAD, [node_row(each) for each in found], colored=options.colored())


@main.command(cls=Verb, short_help="Find the proxies, write a first devices.toml.")
@click.option("--seconds", type=click.FloatRange(1, 60), default=BROWSE, show_default=True, help="How long to look.")
@click.option(
    "--interface", "interfaces", multiple=True, metavar="ADDRESS", help="Look on this address of this machine only."
)
@click.option(
    "--print",
    "printed",
    type=click.Choice(list(FILES)),
    help="Instead, print the file that makes a service of it: a systemd unit, a Containerfile, a compose file.",
)
@click.pass_obj
def init(options: Options, seconds: float, interfaces: tuple[str, ...], printed: str | None) -> None:
    """Find the proxies, ask for keys, and write a first devices.toml."""
    from proxy_listener.cli.beginning import Beginning
    from proxy_listener.model.settings import DiscoverySettings

    if printed is not None:
        click.echo(deployment(printed), nl=False)
        if words := doubt(printed):
            click.echo(cell(words), err=True)
        return
    path = options.config or Path("devices.toml")
    refuse(path)
    click.echo(f"looking for ESPHome nodes for {seconds:g} s ...")
    try:
        nodes = surveyed(DiscoverySettings(accept="listed", interfaces=interfaces), (), None, seconds)
    except ProxyListenerError as error:
        click.echo(cell(str(error)), err=True)
        nodes = []
    click.echo(f"found {len(nodes)}: {', '.join(cell(node.name) for node in nodes)}" if nodes else "found none")
    shared = asked_key("Noise key that your proxies share (not shown; empty if each has its own)")
    beginning = Beginning(DiscoverySettings(accept="listed", noise_psk=shared, interfaces=interfaces))
    for node in asked(beginning.discovery, nodes):
        ask_about(beginning, node)
    ask_about_broker(beginning)
    if click.confirm(f"Serve the page at http://{PAGE}, for this machine only?", default=True):
        beginning.page(PAGE)
    written(path, beginning.text())
    click.echo(f"wrote {cell(str(path))}, readable by you only. Next:")
    named = [verb if options.config is None or verb.startswith("init") else f"{verb} -c {path}" for verb, _ in NEXT]
    for verb, (_, purpose) in zip(named, NEXT, strict=True):
        click.echo(cell(f"  proxy-listener {verb:<{max(map(len, named))}}  {purpose}"))


def asked(discovery: "DiscoverySettings", nodes: "Sequence[Found]") -> "list[Found]":
    """The same nodes, each spoken to at the address where it was seen, as if it had an entry."""
    from proxy_listener.model.settings import ProxySettings
    from proxy_listener.model.text import split_endpoint

    seen = {node.name: node for node in nodes}
    places = {name: place for name, node in seen.items() if (place := split_endpoint(node.address))}
    entries = [ProxySettings(name, seen[name].mac, host=host, port=port) for name, (host, port) in places.items()]
    return surveyed(discovery, entries, None, 0.0) if entries else []


def ask_about(beginning: "Beginning", node: "Found") -> None:
    """Room and, where it is missing, key of one node; nothing of a node that is no proxy."""
    name = cell(node.name)
    if node.proxy is False:
        click.echo(f"{name}: {cell(node.why)}")
        return
    key = None
    if not node.used:
        # What follows the cause is advice for somebody who edits the file.
        click.echo(f"{name}: {cell(node.why.partition(';')[0])}")
        key = asked_key(f"Noise key of {name} (not shown; empty: leave it out)")
        if key is None:
            return
    room = click.prompt(f"Room of {name}", default=cell(node.room))
    beginning.proxy(node.name, node.mac, room, key)


def ask_about_broker(beginning: "Beginning") -> None:
    """Where readings go."""
    question = "MQTT broker (host name; empty: readings go to standard output)"
    host = click.prompt(question, default="", show_default=False)
    if not host:
        return
    user = click.prompt("  user (empty: none)", default="", show_default=False)
    if not user:
        beginning.broker(host, "", "", encrypted=False)
        return
    hidden = sys.stdin.isatty()
    password = click.prompt("  password (not shown)", default="", show_default=False, hide_input=hidden)
    beginning.broker(host, user, password, click.confirm("  does the broker speak TLS?", default=True))


def asked_key(question: str) -> "Secret | None":
    """A Noise key, asked for until it is one; None for an empty answer."""
    from proxy_listener.config.fields import FieldError
    from proxy_listener.config.secrets import noise_key
    from proxy_listener.model.secret import Secret

    while text := click.prompt(question, default="", show_default=False, hide_input=sys.stdin.isatty()).strip():
        try:
            return noise_key(Secret(text))
        except FieldError as error:
            click.echo(str(error), err=True)
    return None


def refuse(path: Path) -> None:
    """A configuration is never overwritten, and what could not be written is not asked for first."""
    if path.exists() or path.is_symlink():
        raise ProxyListenerError(f"{path} exists and is not overwritten; name another file with -c")
    there = nearest(path.absolute().parent)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ProxyListenerError(f"{there} is not a folder that you can write to; name another file with -c")


def written(path: Path, text: str) -> None:
    """Write a new file, readable by its owner only from its first instant."""
    refuse(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
