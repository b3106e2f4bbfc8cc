"""Which proxies are shared, as what, and what is said where that is not possible."""

import asyncio
import socket

import pytest
from aioesphomeapi.core import APIConnectionError, InvalidEncryptionKeyAPIError
from support.edge import KEY, MAC, make_node, running
from support.sharing import client_of, shared_proxy, sharing_house

from proxy_listener.model.rate import GUESSES
from proxy_listener.share.shares import _label, _local

pytestmark = pytest.mark.mdns("shared")


@pytest.fixture
def first(worker_id):
    """The first port of this worker's tests."""
    return 20_350 + 100 * int(worker_id.removeprefix("gw") if worker_id.startswith("gw") else 0)


async def test_only_the_proxies_that_are_named(first):
    """The others are used, and not shared."""
    one, two = make_node(1), make_node(2)
    async with running(one, two), sharing_house(one, two, first=first, proxies=("node2",)) as house:
        await house.shared("node2")
        await house.state("node1", "live")
        assert [house.shares.status(name) is None for name in ("node1", "node2")] == [True, False]


async def test_wrong_keys_at_one_node_close_no_other(first):
    """A client that tries a wrong key at every node, as Home Assistant does, is limited at each of them apart."""
    one, two = make_node(1), make_node(2)
    async with running(one, two), sharing_house(one, two, first=first) as house:
        nodes = [await house.shared(name) for name in ("node1", "node2")]
        for _ in range(GUESSES):
            async with client_of(nodes[0], KEY, connect=False) as wrong:
                with pytest.raises(InvalidEncryptionKeyAPIError):
                    await wrong.connect(login=True)
        async with client_of(nodes[0], connect=False) as limited:
            with pytest.raises(APIConnectionError):
                await limited.connect(login=True)
        async with client_of(nodes[1]) as other:
            assert (await other.device_info()).name == "node2-shared"


async def test_with_the_proxy_s_identity_it_is_the_proxy(first):
    """Its MAC, its name, its adapter's MAC."""
    async with shared_proxy(first, identity="proxy") as (house, node, shared), client_of(shared) as api:
        info = await api.device_info()
        assert (info.name, int(info.mac_address.replace(":", ""), 16)) == ("node1", MAC + 1)
        assert house.shares.ours("node1-shared", None)
        assert house.shares.ours("", node.settings.mac)
        assert not house.shares.ours("node9", MAC + 9)


async def test_a_port_that_another_program_has(first):
    """The cause says which and what to do; other proxies are shared all the same."""
    with socket.create_server(("127.0.0.1", first)):
        one, two = make_node(1), make_node(2)
        async with running(one, two), sharing_house(one, two, first=first) as house:
            both = [lambda name=name: house.shares.status(name) for name in ("node1", "node2")]
            await house.until(lambda: all(status() for status in both))
            await house.until(lambda: any(status().port for status in both))
            problems = [status().problem for status in both if status().problem]
            assert problems == [f"port {first} is used by another program; end that, or set another [share] port"]


async def test_who_is_connected_is_known(first):
    """Name, address, links; and why a proxy is not shared now."""
    async with shared_proxy(first) as (house, node, shared):
        async with client_of(shared):
            status = house.shares.status("node1")
            (client,) = status.clients
            assert (status.name, status.port, client.address, client.links) == ("node1-shared", first, "127.0.0.1", ())
            assert client.name.startswith("aioesphomeapi")
        await node.stop()
        await house.unshared()
        assert house.shares.status("node1").problem == "the proxy is unreachable"
        await node.start()


async def test_clients_beyond_the_limit_are_refused(first):
    """And one that leaves makes room."""
    async with shared_proxy(first, clients=1) as (house, _, shared):
        async with client_of(shared):
            with pytest.raises(Exception, match="onnection"):
                async with client_of(shared):
                    pass
        await house.until(lambda: not shared.sessions)
        async with client_of(shared) as api:
            assert (await api.device_info()).name == "node1-shared"


async def test_connections_that_prove_no_key_are_bounded(first):
    """A client with the key gets in beside them."""
    async with shared_proxy(first) as (house, _, shared):
        writers = [(await asyncio.open_connection("127.0.0.1", shared.port))[1] for _ in range(15)]
        async with client_of(shared) as api:
            assert (await api.device_info()).name == "node1-shared"
        for writer in writers:
            writer.close()
        await house.until(lambda: not shared.sessions)


@pytest.mark.parametrize(("mac", "local"), [(0xA0B1C2D3E4F5, 0xA2B1C2D3E4F5), (0x02B1C2D3E4F5, 0x06B1C2D3E4F5)])
def test_the_mac_of_a_shared_node(mac, local):
    """The locally administered bit; another one where that is set already."""
    assert _local(mac) == local


@pytest.mark.parametrize(
    ("name", "label"),
    [("kitchen-proxy", "kitchen-proxy"), ("a.b\u00e9 c", "a-b--c"), ("x" * 64, "x" * 40), ("", "node")],
)
def test_a_node_s_name_is_made_a_dns_label(name, label):
    """A name that is none would end the announcing of every shared node."""
    assert _label(name) == label


async def test_two_nodes_of_one_name_are_shared_under_two(first):
    """The second one has the end of its MAC in its name."""
    one, two = make_node(1, name="same"), make_node(2, name="same")
    async with running(one, two), sharing_house(one, two, first=first, names=("one", "two")) as house:
        nodes = [await house.shared(name) for name in ("one", "two")]
        names = sorted(node.presented.name for node in nodes)
        assert names[1] == "same-shared"
        assert names[0] in {f"same-{MAC + number & 0xFFFFFF:06x}-shared" for number in (1, 2)}
