"""One proxy with a real node over loopback TCP: every state, and how it is left."""

import asyncio

import attrs
import pytest
from aioesphomeapi.client import APIClient
from support.edge import DATA, FAST, KEY, MAC, OTHER_KEY, entry, house, make_node, running

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings
from proxy_listener.node import firmware
from proxy_listener.proxies.admission import KnownNodes
from proxy_listener.proxies.timing import ProxyTiming

RAW = {
    name: generation
    for name, generation in firmware.GENERATIONS.items()
    if generation.flags & firmware.Feature.RAW_ADVERTISEMENTS
}

pytestmark = pytest.mark.mdns("shared")


@pytest.mark.parametrize("generation", RAW.values(), ids=RAW.keys())
@pytest.mark.parametrize("psk", [KEY, None], ids=["noise", "plain"])
async def test_every_generation_streams(generation, psk):
    """From 2023.6 to 2026.10, with and without encryption: what the node hears is heard."""
    node = make_node(1, generation, psk=psk)
    async with running(node), house([entry(node)]) as made:
        await made.hears(node)
        await made.state("node1", "live")
        call = made.heard[-1]
        assert call[:4] == ("node1", 0xA4C1380283F4, 0, -60)
        assert call[4] == DATA
        status = made.fleet.status()[0]
        assert (status.mac, status.version, status.encrypted) == (MAC + 1, generation.version, psk is not None)
        assert status.active


async def test_passive_proxy_streams():
    node = make_node(1, firmware.ESPHOME_2026_10.passive())
    async with running(node), house([entry(node)]) as made:
        await made.hears(node)
        status = made.fleet.status()[0]
        assert status.active is False
        assert status.slots_limit is None


async def test_stop_leaves_every_node_cleanly():
    """No session is left on any node when the fleet has stopped."""
    nodes = [make_node(number) for number in range(1, 7)]
    async with running(*nodes):
        async with house([entry(node) for node in nodes]) as made:
            await made.until(lambda: all(state == "live" for state in made.states().values()))
        assert [len(node.sessions) for node in nodes] == [0] * 6
        async with house([entry(nodes[0])]) as made:
            await made.state("node1", "live")


async def test_comes_back_after_power_loss():
    node = make_node(1)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        await node.power_off()
        await made.state("node1", "unreachable")
        await node.start()
        await made.hears(node)
        assert [state for _, state in made.changes if state == "live"] == ["live", "live"]


async def test_dead_link_is_noticed():
    """A node that stops answering without closing anything is given up after 6.5 keepalives, and reconnected later."""
    node = make_node(1)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        node.freeze()
        await made.state("node1", "unreachable", FAST.keepalive * 6.5 + 1.0)
        node.thaw()
        await made.hears(node)


@pytest.mark.long
async def test_dead_link_is_noticed_within_thirty_seconds():
    """With the service's own timing."""
    node = make_node(1)
    async with running(node), house([entry(node)], timing=ProxyTiming()) as made:
        await made.hears(node)
        node.freeze()
        await made.state("node1", "unreachable", 30.0)
        node.thaw()


@pytest.mark.parametrize(
    ("psk", "ours", "state"),
    [
        (KEY, OTHER_KEY, "wrong_key"),
        (KEY, None, "needs_key"),
        (None, KEY, "not_encrypted"),
    ],
)
@pytest.mark.parametrize("generation", [firmware.ESPHOME_2025_6, firmware.ESPHOME_2026_6], ids=["2025.6", "2026.6"])
async def test_wrong_and_missing_keys(generation, psk, ours, state):
    node = make_node(1, generation, psk=psk)
    async with running(node), house([entry(node, noise_psk=ours)]) as made:
        await made.state("node1", state)


async def test_a_node_that_supports_encryption_and_has_no_key_refuses_ours():
    """2026.10, found without mDNS: the library's error is that of a wrong key, and so is the state."""
    node = make_node(1, psk=None)
    async with running(node), house([entry(node, noise_psk=KEY)]) as made:
        await made.state("node1", "wrong_key")


async def test_key_error_is_retried_seldom():
    """A minute (here 0.6 s) is between two attempts, at least."""
    node = make_node(1)
    attempts = Counted(node)
    async with running(node), house([entry(node, noise_psk=OTHER_KEY)]) as made:
        await made.state("node1", "wrong_key")
        await made.until(lambda: len(attempts.times) == 2)
        assert attempts.times[1] - attempts.times[0] >= FAST.auth


class Counted:
    """When a node accepted connections."""

    def __init__(self, node):
        self.times = []
        opened = node._opened

        def count(session):
            self.times.append(asyncio.get_running_loop().time())
            return opened(session)

        node._opened = count


async def test_wrong_password_on_old_firmware():
    node = make_node(1, firmware.ESPHOME_2025_6, psk=None, password=Secret("right"))
    async with running(node), house([entry(node, password=Secret("wrong"))]) as made:
        await made.state("node1", "wrong_password")
    async with running(node), house([entry(node, password=Secret("right"))]) as made:
        await made.state("node1", "live")


async def test_a_password_where_the_node_has_none_is_refused_too():
    """2025.6 compares it with the empty one."""
    node = make_node(1, firmware.ESPHOME_2025_6, psk=None)
    async with running(node), house([entry(node, password=Secret("needless"))]) as made:
        await made.state("node1", "wrong_password")


async def test_full_node_is_no_key_problem():
    """The sixth client is disconnected during the encrypted hello: that is not a wrong key."""
    node = make_node(1)
    async with running(node):
        others = [APIClient("127.0.0.1", node.port, None, noise_psk=KEY.reveal()) for _ in range(5)]
        for other in others:
            await other.connect(login=True)
        async with house([entry(node)]) as made:
            await made.state("node1", "full")
            await others[0].disconnect()
            await made.state("node1", "live")
        for other in others:
            await other.disconnect()


@pytest.mark.parametrize("psk", [KEY, None], ids=["noise", "plain"])
async def test_another_node_at_the_address(psk):
    """The MAC is compared in plaintext too, where the library does not."""
    node = make_node(1, firmware.ESPHOME_2026_6, psk=psk)
    async with running(node), house([entry(node, mac=MAC + 99)]) as made:
        await made.state("node1", "wrong_node")
        assert made.heard == []


async def test_a_name_binds_to_the_first_mac_that_proves_the_key(tmp_path):
    first, second = make_node(1, name="kitchen"), make_node(2, name="kitchen")
    async with running(first), house([entry(first)], state=tmp_path) as made:
        await made.state("kitchen", "live")
    assert KnownNodes(tmp_path).bound("kitchen") == MAC + 1
    async with running(second), house([entry(second)], state=tmp_path) as made:
        await made.state("kitchen", "wrong_node")


async def test_once_encrypted_never_plaintext(tmp_path):
    """A node that spoke encrypted and now speaks plaintext is not used."""
    node = make_node(1)
    async with running(node), house([entry(node)], state=tmp_path) as made:
        await made.state("node1", "live")
    plain = make_node(1, firmware.ESPHOME_2026_6, psk=None)
    async with running(plain), house([entry(plain, name="other")], state=tmp_path) as made:
        await made.state("other", "needs_key")
        assert made.heard == []


async def test_not_a_proxy():
    node = make_node(1, flags=0)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "not_a_proxy")
        await made.until(lambda: not node.sessions)


@pytest.mark.parametrize("flags", [2, 31], ids=["no stream", "2023.4"])
async def test_firmware_without_raw_advertisements(flags):
    """It is not subscribed, and the advice names the first firmware that has them."""
    node = make_node(1, firmware.FIRST_RAW, flags=flags)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "no_raw_stream")
        assert "2023.6" in made.fleet.status()[0].advice
        node.hear(1, 0, -60, DATA)
        await made.until(lambda: not node.sessions)
        assert made.heard == []


async def test_nothing_listens():
    node = make_node(1)
    async with running(node):
        listing = entry(node)
    async with house([listing]) as made:
        await made.state("node1", "unreachable")
        assert made.fleet.status()[0].cause.endswith("Connection refused")


async def test_entry_that_mdns_does_not_show():
    node = make_node(1)
    async with house([entry(node, host=None)]) as made:
        await made.state("node1", "unreachable")
        assert made.cause("node1") == "mDNS does not show it, and it has no host"


async def test_entry_without_host_and_network():
    """There is no network at the start: the cause says so."""
    node = make_node(1)
    nowhere = DiscoverySettings("listed", None, ("203.0.113.7",))
    async with house([entry(node, host=None)], nowhere) as made:
        await made.state("node1", "unreachable")
        assert made.cause("node1") == "there is no network to ask for it by mDNS, and it has no host"


class OtherClient:
    """Another client of the stream."""

    def __init__(self, node):
        self.count = 0
        self.client = APIClient("127.0.0.1", node.port, None, noise_psk=KEY.reveal())

    async def __aenter__(self):
        await self.client.connect(login=True)
        self.client.subscribe_bluetooth_le_raw_advertisements(self.hear)
        await self.client.device_info()
        return self

    async def __aexit__(self, *_):
        await self.client.disconnect()

    def hear(self, message):
        self.count += len(message.advertisements)


async def test_held_stream_is_taken_when_it_is_free():
    """First wins (before 2026.7): held, until the holder leaves; then the stream is ours without a reconnect."""
    node = make_node(1, firmware.ESPHOME_2026_6)
    async with running(node):
        async with OtherClient(node):
            held = house([entry(node)])
            made = await held.__aenter__()
            await made.state("node1", "held")
            assert made.fleet.status()[0].uptime is not None
        await made.hears(node)
        await made.state("node1", "live")
        await held.__aexit__(None, None, None)


async def test_taken_stream_is_taken_back_later():
    """Newest wins (from 2026.7): silence while another proxy hears is a taken stream. It is asked for again later."""
    node, beside = make_node(1), make_node(2)
    async with running(node, beside), house([entry(node), entry(beside)]) as made:
        await made.hears(node)
        async with OtherClient(node) as other:

            def taken():
                node.hear(1, 0, -60, DATA)
                beside.hear(1, 0, -60, DATA)
                return made.states()["node1"] == "taken"

            await made.until(taken)
            assert other.count > 0
            assert made.states()["node2"] == "live"
            await made.hears(node)
            await made.state("node1", "live")


@pytest.mark.parametrize("generation", [firmware.ESPHOME_2026_7, firmware.ESPHOME_2026_10], ids=["2026.7", "2026.10"])
async def test_taken_stream_of_the_only_proxy_is_noticed(generation):
    """No other proxy hears anything, and no silence is long enough to be judged: the node's answers tell."""
    node = make_node(1, generation)
    timing = attrs.evolve(FAST, silence=60.0, silence_alone=60.0, brief_silence=60.0, taken_once=1.0)
    async with running(node), house([entry(node)], timing=timing) as made:
        await made.hears(node)
        await made.until(lambda: made.fleet["node1"].stream._probes)
        assert node.take_stream()
        await made.state("node1", "taken")
        cause = made.cause("node1")
        assert cause.startswith("another client took its advertisement stream, as firmware from 2026.7 allows; asked ")
        assert "other proxies" not in cause
        await made.hears(node)
        await made.state("node1", "live")


async def test_quiet_stream_that_is_still_ours_stays_live():
    """The node answers the questions that only the holder gets an answer to."""
    node = make_node(1)
    timing = attrs.evolve(FAST, silence=60.0, silence_alone=60.0, brief_silence=60.0)
    async with running(node), house([entry(node)], timing=timing) as made:
        await made.hears(node)
        stream, answers = made.fleet["node1"].stream, set()
        await made.until(lambda: answers.add(stream._reported) or len(answers) > 4)
        assert [state for _, state in made.changes] == ["live"]


async def test_held_by_our_own_dead_session(tmp_path):
    """A run that was killed left its session on a first-wins node: the next one does not blame another client."""
    node = make_node(1, firmware.ESPHOME_2026_6)
    killed = KnownNodes(tmp_path)
    killed.running(running=True)
    killed.write(killed.snapshot())
    async with running(node):
        async with OtherClient(node), house([entry(node)], state=tmp_path) as made:
            await made.state("node1", "held")
            assert made.cause("node1").startswith("a session of ours that did not end cleanly may still hold")
        async with OtherClient(node), house([entry(node)], state=tmp_path) as made:
            await made.state("node1", "held")
            assert made.cause("node1") == "another client holds its advertisement stream; asked for again every 0 s"


async def test_silent_scanner_becomes_wedged():
    """A first-wins node that hears nothing while another does: silent, then wedged; live again when it hears."""
    node, beside = make_node(1, firmware.ESPHOME_2026_6), make_node(2)
    async with running(node, beside), house([entry(node), entry(beside)]) as made:
        await made.hears(node)

        def wedged():
            beside.hear(1, 0, -60, DATA)
            return made.states()["node1"] == "wedged"

        await made.until(wedged)
        seen = [state for name, state in made.changes if name == "node1"]
        assert seen.index("silent") < seen.index("wedged")
        await made.hears(node)
        await made.state("node1", "live")


async def test_flood_is_benched_and_others_go_on():
    """A proxy that sends giant messages is not connected to for five minutes (here 0.6 s); another proxy goes on."""
    node, beside = make_node(1), make_node(2)
    async with running(node, beside), house([entry(node), entry(beside)]) as made:
        await made.hears(node)
        session = next(iter(node.sessions))
        flood = firmware_flood(1000)
        session.send(flood)
        await made.state("node1", "benched")
        await made.until(lambda: not node.sessions)
        await made.hears(beside)
        await made.hears(node)


def firmware_flood(count):
    from aioesphomeapi.api_pb2 import BluetoothLERawAdvertisementsResponse

    message = BluetoothLERawAdvertisementsResponse()
    for address in range(count):
        message.advertisements.add(address=address, rssi=-60, data=DATA)
    return message


async def test_shared_key_for_entries_without_one():
    node = make_node(1)
    discovery = DiscoverySettings("listed", KEY, ("127.0.0.1",))
    async with running(node), house([entry(node, noise_psk=None)], discovery) as made:
        await made.state("node1", "live")


@pytest.mark.parametrize("psk", [KEY, None], ids=["noise", "plain"])
async def test_garbage_never_ends_the_task(psk):
    """A node that sends bytes which are no message is benched after three sessions; another proxy goes on."""
    node, beside = make_node(1, firmware.ESPHOME_2026_6, psk=psk), make_node(2)
    async with running(node, beside), house([entry(node), entry(beside)]) as made:

        def benched():
            for session in node.sessions:
                session._transport.write(b"\x07garbage" * 10)
            return made.states().get("node1") == "benched"

        await made.until(benched)
        await made.hears(beside)


async def test_frozen_nodes_do_not_hold_up_the_stop():
    """Nodes that do not answer any more: the fleet stops all the same, long before their sessions time out (27 s)."""
    nodes = [make_node(number) for number in range(1, 5)]
    async with running(*nodes):
        stopping = house([entry(node) for node in nodes], timing=attrs.evolve(FAST, keepalive=6.0, leave=1.5))
        made = await stopping.__aenter__()
        await made.until(lambda: all(state == "live" for state in made.states().values()))
        for node in nodes:
            node.freeze()
        async with asyncio.timeout(10.0):
            await stopping.__aexit__(None, None, None)
        for node in nodes:
            node.thaw()


async def test_a_node_that_does_not_answer_at_the_start_is_connecting_for_a_while():
    """After a power cut everything starts at once: there is no warning in the first seconds, and then one."""
    node = make_node(1)
    async with running(node):
        listing = entry(node)
    absent = entry(make_node(2), host=None)
    async with house([listing, absent], timing=attrs.evolve(FAST, search=0.6)) as made:
        await made.until(lambda: made.cause("node1").endswith("Connection refused"))
        assert made.states() == {"node1": "connecting", "node2": "connecting"}
        await made.until(lambda: made.states() == {"node1": "unreachable", "node2": "unreachable"})
        assert sorted(made.changes) == [("node1", "unreachable"), ("node2", "unreachable")]


async def test_a_node_that_answers_within_the_first_seconds_was_never_unreachable():
    node = make_node(1)
    async with running(node):
        listing = entry(node)
    async with house([listing], timing=attrs.evolve(FAST, search=5.0)) as made:
        await made.until(lambda: made.cause("node1").endswith("Connection refused"))
        async with running(node):
            await made.state("node1", "live")
            assert made.changes == [("node1", "live")]
