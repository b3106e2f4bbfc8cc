"""The verb ``discover``: the nodes on the network, and which of them are used. It asks nodes and never subscribes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from proxy_listener.cli.output import print_listing
from proxy_listener.cli.verb import Listing, Options
from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.proxies.survey import FoundNode, survey

NODE_HEAD = ("node", "room", "address", "mac", "version", "proxy", "used", "why")

BROWSE = 3.0
"""Seconds of mDNS: nodes answer within one second; the question is repeated one and three seconds after the first."""


def find_nodes(
    discovery: DiscoverySettings, proxies: Sequence[ProxySettings], state: Path | None, seconds: float
) -> list[FoundNode]:
    """The nodes on the network. ProxyListenerError where there is no network."""
    try:
        return asyncio.run(survey(discovery, proxies, state=state, seconds=seconds))
    except OSError as error:
        raise ProxyListenerError(f"mDNS cannot be used here: {error.strerror or error}") from None


@click.command(cls=Listing)
@click.option("--seconds", type=click.FloatRange(1, 60), default=BROWSE, show_default=True, help="How long to look.")
@click.pass_obj
def discover(options: Options, seconds: float) -> None:
    """Find ESPHome nodes by mDNS, and say which are proxies and which would be used."""
    config = options.load_or_default()
    nodes = find_nodes(config.discovery, config.proxies, options.state_directory(), seconds)
    rows = [_node_row(node) for node in nodes]
    if rows or options.json:
        print_listing(options, [dict(zip(NODE_HEAD, row, strict=True)) for row in rows], NODE_HEAD, rows)
    else:
        click.echo("no ESPHome node answers by mDNS; doctor says what may be wrong", err=True)


def _node_row(node: FoundNode) -> list[object]:
    mac = None if node.mac is None else mac_text(node.mac)
    return [node.name, node.room, node.address, mac, node.version, node.proxy, node.used, node.why]
