"""Discovery on records that are put into zeroconf's cache: which sightings they make, and how many."""

import pytest
from support.edge import FAST
from zeroconf import DNSAddress, DNSPointer, DNSService, DNSText, RecordUpdate, current_time_millis
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.proxies.discovery import LIMIT, SERVICE, Discovery, _sighting

pytestmark = pytest.mark.mdns("alone")

UNIQUE = 0x8001


class Network:
    """Feeds a Discovery as a packet would."""

    def __init__(self, zeroconf, is_kept=lambda _sighting: False):
        self.cache = zeroconf.zeroconf.cache
        self.seen, self.gone = [], []
        self.discovery = Discovery(zeroconf, self.seen.append, self.gone.append, is_kept, FAST)

    def announce(self, name, *, address="10.0.0.1", port=6053, txt=None, ttl=4500):
        now = current_time_millis()
        alias, host = f"{name}.{SERVICE}", f"{name}.local."
        text = b"".join(bytes([len(item)]) + item for item in (txt or [b"mac=a0b1c2d3e4f5", b"version=2026.10.0"]))
        records = [
            DNSPointer(SERVICE, 12, 1, ttl, alias, now),
            DNSService(alias, 33, UNIQUE, 120, 0, 0, port, host, now),
            DNSText(alias, 16, UNIQUE, 4500, text, now),
            DNSAddress(host, 1, UNIQUE, 120, bytes(map(int, address.split("."))), created=now),
        ]
        self.discovery.async_update_records(None, now, [RecordUpdate(record, None) for record in records])
        self.cache.async_add_records(records[1:])

    async def settle(self):
        if self.discovery._timer is not None:
            self.discovery._timer.cancel()
            self.discovery._look()


@pytest.fixture
async def network():
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    yield Network(zeroconf)
    await zeroconf.async_close()


async def test_a_node_is_seen_with_its_port_and_mac(network):
    network.announce("kitchen", port=7001)
    await network.settle()
    (sighting,) = network.seen
    assert (sighting.name, sighting.addresses, sighting.port) == ("kitchen", ("10.0.0.1",), 7001)
    assert (sighting.mac, sighting.version, sighting.encrypts) == (0xA0B1C2D3E4F5, "2026.10.0", False)


async def test_two_nodes_of_one_name_are_told_apart_by_their_records(network):
    """Their records overwrite each other's; each is noted as it comes. A node with a name of its own has no others."""
    a, b, alone = 0xA0B1C2D3E4F5, 0x102030405060, 0x0A0B0C0D0E0F
    network.announce("lobby", txt=[b"mac=0a0b0c0d0e0f"])
    for address, mac in (("10.0.0.1", b"mac=a0b1c2d3e4f5"), ("10.0.0.2", b"mac=102030405060")):
        network.announce("kitchen", address=address, txt=[mac])
    for number in range(20):
        network.announce("flooded", txt=[b"mac=0000000000%02x" % (number + 1)])
    await network.settle()
    assert network.discovery.others_of_its_name(a) == ("kitchen", [b])
    assert network.discovery.others_of_its_name(b) == ("kitchen", [a])
    assert network.discovery.others_of_its_name(alone) is None
    assert network.discovery.others_of_its_name(0x999999999999) is None
    assert len(network.discovery._macs[f"flooded.{SERVICE}"]) == 4


async def test_the_names_whose_macs_are_remembered_are_bounded(network):
    """Invented names without an address, which never become a node, take no more memory than so many."""
    now = current_time_millis()
    for number in range(5 * LIMIT):
        text = b"\x10mac=%012x" % (number + 1)
        network.discovery._note_mac(
            f"n{number}.{SERVICE}", DNSText(f"n{number}.{SERVICE}", 16, UNIQUE, 4500, text, now)
        )
    assert len(network.discovery._macs) == 2 * LIMIT


async def test_newest_address_is_first(network):
    network.announce("kitchen")
    await network.settle()
    network.announce("kitchen", address="10.0.0.2")
    await network.settle()
    assert network.seen[-1].addresses[0] == "10.0.0.2"


async def test_goodbye_is_reported(network):
    network.announce("kitchen")
    await network.settle()
    network.announce("kitchen", ttl=0)
    await network.settle()
    assert network.gone == ["kitchen"]
    assert network.discovery.sightings == {}


async def test_a_burst_of_records_is_one_look(network):
    for _ in range(500):
        network.announce("kitchen")
    await network.settle()
    assert len(network.seen) == 1


async def test_unlisted_nodes_are_bounded_and_entries_are_not():
    """With all places of unlisted nodes taken, a node that has an entry is still seen."""
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    network = Network(zeroconf, is_kept=lambda sighting: sighting.mac == 0xA0B1C2D3E4F5)
    for start in range(0, 600, 100):
        for number in range(start, start + 100):
            network.announce(f"rogue{number}", txt=[b"mac=" + b"%012x" % number])
        await network.settle()
    assert len(network.discovery.sightings) == LIMIT
    network.announce("kitchen")
    await network.settle()
    assert len(network.discovery.sightings) == LIMIT + 1
    assert network.discovery.refused >= 600 - LIMIT
    await zeroconf.async_close()


class Txt:
    """What a sighting reads of a service's records."""

    port = 6053

    def __init__(self, **properties):
        self.properties = {key.encode(): value for key, value in properties.items()}


@pytest.mark.parametrize(
    ("properties", "encrypts", "unprovisioned"),
    [
        ({}, None, False),
        ({"version": b"2026.10.0", "api_encryption": b"Noise"}, True, False),
        ({"version": b"2026.10.0", "api_encryption_supported": b"Noise"}, False, True),
        ({"version": b"2026.10.0"}, False, False),
        ({"version": b"2023.4.4"}, None, False),
    ],
)
def test_what_the_txt_record_says_of_encryption(properties, encrypts, unprovisioned):
    """Old firmware says nothing, whether it has a key or not."""
    sighting = _sighting("kitchen", ("10.0.0.1",), Txt(**properties))
    assert (sighting.encrypts, sighting.unprovisioned) == (encrypts, unprovisioned)


@pytest.mark.parametrize("mac", [b"", b"zz", b"a0b1", b"\xff" * 12, None])
def test_a_mac_that_is_none_is_unknown(mac):
    assert _sighting("kitchen", ("10.0.0.1",), Txt(mac=mac)).mac is None


def test_texts_are_printable_and_short():
    sighting = _sighting("kitchen", ("10.0.0.1",), Txt(config_hash=b"\x1b[31m" + b"x" * 250, version=b"\xff\n"))
    assert sighting.config_hash.startswith("?[31mx")
    assert len(sighting.config_hash) == 64
    assert "\n" not in sighting.version
