"""A fleet that nodes call, such nodes, and callers that are none."""

import asyncio
from contextlib import asynccontextmanager

import attrs
from support.edge import KEY, MAC, NO_MDNS, entry, make_node, running

from proxy_listener.model.settings import DiscoverySettings
from proxy_listener.node.settings import DialOut
from proxy_listener.node.wire import ZERO_KEY, NoiseWire

HOST = "127.0.0.1"
LISTED = attrs.evolve(NO_MDNS, dial_in=f"{HOST}:0")
KEYED = DiscoverySettings("keyed", KEY, (HOST,), f"{HOST}:0")
DELAY = 0.05


def listing(number, **more):
    """An entry by MAC: nothing says where the node is."""
    return entry(make_node(number), **{"host": None, "port": 6053, "mac": MAC + number, **more})


async def port_of(made):
    """Where the fleet listens, once it does."""
    await made.until(lambda: made.fleet.dial_in.places)
    return made.fleet.dial_in.places[0][1]


@asynccontextmanager
async def calling(made, *numbers, **more):
    """Nodes that call the fleet and are announced nowhere."""
    dial = DialOut(HOST, await port_of(made), DELAY)
    nodes = [make_node(number, dial=dial, **more) for number in numbers]
    async with running(*nodes):
        yield nodes


def status_of(made, name):
    return next(status for status in made.fleet.status() if status.name == name)


def hello(name="kitchen-proxy", mac="a0b1c2d3e4f5"):
    """As the node's half sends it, from ESPHome's source."""
    wire = NoiseWire(ZERO_KEY, name, mac)
    wire.greet_first()
    return wire.outgoing()


@asynccontextmanager
async def callers(made, count, data=b"", network="127.1"):
    """Connections from so many addresses, each another network, that send this and keep still."""
    port, writers = await port_of(made), []
    for index in range(count):
        source = f"{network}.{index >> 8}.{index & 255 or 1}"
        _, writer = await asyncio.open_connection(HOST, port, local_addr=(source, 0))
        writer.write(data)
        writers.append(writer)
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()
