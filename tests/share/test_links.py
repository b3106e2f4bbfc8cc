"""Who owns which connection: requests and answers as messages, no socket."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy_listener.node.messages import api
from proxy_listener.share.links import CLOSING, OPENING, LinkRelay

DEVICE, OTHER = 0xA4C1380283F4, 0xA4C1380283F5
CONNECT = api.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT_V3_WITHOUT_CACHE
CACHED = api.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT_V3_WITH_CACHE
DISCONNECT = api.BLUETOOTH_DEVICE_REQUEST_TYPE_DISCONNECT
PAIR, UNPAIR, CLEAR = (
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_PAIR,
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_UNPAIR,
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_CLEAR_CACHE,
)


class Client:
    def __init__(self):
        self.got = []

    def send(self, *messages):
        self.got += messages


class Proxy:
    """Counts slots as firmware does, and keeps what it was sent."""

    def __init__(self, policy="spare"):
        self.sent, self.used, self.reads = [], 0, set()
        self.elsewhere = set()
        self.relay = LinkRelay(
            self.sent.append, lambda: (3 - self.used - len(self.reads), 3), self.reads_of, self.is_busy, policy
        )

    def is_busy(self, address):
        return address in self.reads | self.elsewhere

    def reads_of(self):
        return self.reads

    def connected(self, address=DEVICE, now=0.0, *, connected=True, error=0):
        self.used += 1 if connected else -1
        return self.relay.answer(
            api.BluetoothDeviceConnectionResponse(address=address, connected=connected, mtu=85, error=error), now
        )


def device(kind, address=DEVICE, address_type=0):
    return api.BluetoothDeviceRequest(
        address=address, request_type=kind, has_address_type=address_type is not None, address_type=address_type or 0
    )


def opened(policy="spare"):
    proxy, client = Proxy(policy), Client()
    proxy.relay.request(client, device(CONNECT), 0.0)
    proxy.connected()
    proxy.sent.clear()
    client.got.clear()
    return proxy, client


@pytest.mark.parametrize("kind", [CONNECT, CACHED])
def test_a_connect_is_passed_on_as_it_was_meant(kind):
    """With or without cache, with the address type; the answer goes to who asked."""
    proxy, client = Proxy(), Client()
    proxy.relay.request(client, device(kind, address_type=1), 0.0)
    assert proxy.sent == [device(kind, address_type=1)]
    assert proxy.connected()
    assert [(got.connected, got.mtu) for got in client.got] == [(True, 85)]


@pytest.mark.parametrize(
    "message",
    [device(CONNECT, address_type=None), device(CONNECT, address_type=2), device(CONNECT, address=1 << 48), device(77)],
)
def test_a_request_that_makes_no_sense_reaches_no_proxy(message):
    """Without an address type, of another, of no address, of no kind."""
    proxy, client = Proxy(), Client()
    proxy.relay.request(client, message, 0.0)
    assert proxy.sent == []


def test_operations_are_for_the_owner():
    """Others get ESPHome's error for an operation without a link, and so does the owner before it is open."""
    proxy, client, stranger = Proxy(), Client(), Client()
    read = api.BluetoothGATTReadRequest(address=DEVICE, handle=3)
    proxy.relay.request(client, device(CONNECT), 0.0)
    proxy.sent.clear()
    for who in (client, stranger):
        proxy.relay.request(who, read, 0.0)
        assert (who.got[-1].handle, who.got[-1].error) == (3, -1)
    proxy.connected()
    proxy.relay.request(stranger, read, 0.0)
    assert (proxy.sent, stranger.got[-1].error) == ([], -1)
    proxy.relay.request(client, read, 0.0)
    assert proxy.sent == [read]


OPERATIONS = [
    api.BluetoothGATTGetServicesRequest(address=DEVICE),
    api.BluetoothGATTReadRequest(address=DEVICE, handle=3),
    api.BluetoothGATTReadDescriptorRequest(address=DEVICE, handle=3),
    api.BluetoothGATTWriteRequest(address=DEVICE, handle=3, response=True, data=b"x"),
    api.BluetoothGATTWriteDescriptorRequest(address=DEVICE, handle=3, data=b"\x01\x00"),
    api.BluetoothGATTNotifyRequest(address=DEVICE, handle=3, enable=True),
    api.BluetoothSetConnectionParamsRequest(address=DEVICE, min_interval=6, max_interval=12, latency=0, timeout=400),
    device(PAIR, address_type=None),
    device(UNPAIR, address_type=None),
    device(CLEAR, address_type=None),
]


@pytest.mark.parametrize("message", OPERATIONS, ids=lambda message: type(message).__name__)
def test_every_operation_is_built_anew(message):
    """The proxy gets the same fields, and none that nobody knows."""
    proxy, client = opened()
    with_more = type(message)()
    with_more.ParseFromString(message.SerializeToString() + b"\xfa\x3f\x03abc")
    proxy.relay.request(client, with_more, 0.0)
    assert [sent.SerializeToString() for sent in proxy.sent] == [message.SerializeToString()]


@pytest.mark.parametrize(
    "message",
    [
        api.BluetoothGATTReadRequest(address=DEVICE, handle=0x10000),
        api.BluetoothGATTWriteRequest(address=DEVICE, handle=3, data=bytes(513)),
        api.BluetoothGATTNotifyRequest(address=DEVICE, handle=0x10000),
        api.BluetoothSetConnectionParamsRequest(address=DEVICE, min_interval=0x10000),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_field_out_of_range_is_refused(message):
    """The proxy does not see it."""
    proxy, client = opened()
    proxy.relay.request(client, message, 0.0)
    assert (proxy.sent, client.got[-1].error) == ([], 132)


@pytest.mark.parametrize(
    "answer",
    [
        api.BluetoothGATTReadResponse(address=DEVICE, handle=3, data=b"x"),
        api.BluetoothGATTErrorResponse(address=DEVICE, handle=3, error=5),
        api.BluetoothGATTNotifyDataResponse(address=DEVICE, handle=3, data=b"x"),
        api.BluetoothGATTGetServicesDoneResponse(address=DEVICE),
    ],
    ids=lambda message: type(message).__name__,
)
def test_answers_go_to_the_owner(answer):
    """As they came. Answers about devices of our own reads concern no client."""
    proxy, client = opened()
    assert proxy.relay.answer(answer, 1.0)
    assert client.got == [answer]
    other = type(answer)()
    other.CopyFrom(answer)
    other.address = OTHER
    assert not proxy.relay.answer(other, 1.0)


def test_a_device_of_our_own_reads_is_busy():
    """And one that no slot is left for is refused as firmware does; the last slot stays for reads."""
    proxy, client = Proxy(), Client()
    proxy.reads.add(DEVICE)
    proxy.relay.request(client, device(CONNECT), 0.0)
    assert client.got[-1].error == 132
    for number in range(3):
        proxy.relay.request(client, device(CONNECT, 100 + number), 0.0)
    assert (client.got[-1].connected, client.got[-1].error) == (False, 0)
    assert [sent.address for sent in proxy.sent] == [100, 101]


def test_a_device_that_is_connected_through_another_proxy_is_busy():
    """It takes one connection."""
    proxy, client = Proxy(), Client()
    proxy.elsewhere.add(DEVICE)
    proxy.relay.request(client, device(CONNECT), 0.0)
    assert (proxy.sent, client.got[-1].error) == ([], 132)


def test_old_firmware_answers_unpair_as_pair():
    """The one who asked gets it."""
    proxy, client = Proxy(), Client()
    proxy.relay.request(client, device(UNPAIR, address_type=None), 0.0)
    answer = api.BluetoothDevicePairingResponse(address=DEVICE, paired=False)
    assert proxy.relay.answer(answer, 0.1)
    assert client.got == [answer]


def test_all_slots_where_they_are_given():
    """Three clients, three devices."""
    proxy, client = Proxy("all"), Client()
    for number in range(4):
        proxy.relay.request(client, device(CONNECT, 100 + number), 0.0)
    assert [sent.address for sent in proxy.sent] == [100, 101, 102]


def test_who_asked_is_told_of_free_slots():
    """At once, and whenever it changes."""
    proxy, client, watcher = Proxy(), Client(), Client()
    proxy.relay.request(watcher, api.SubscribeBluetoothConnectionsFreeRequest(), 0.0)
    proxy.relay.request(client, device(CONNECT), 0.0)
    proxy.connected()
    proxy.connected(connected=False)
    assert [(got.free, got.limit, list(got.allocated)) for got in watcher.got] == [
        (2, 2, []),
        (1, 2, [DEVICE]),
        (2, 2, []),
    ]


def test_a_client_that_leaves_while_its_link_opens():
    """The link is closed when it is open after all, and counts until then."""
    proxy, client = Proxy(), Client()
    proxy.relay.request(client, device(CONNECT), 0.0)
    proxy.relay.leave(client, 1.0)
    assert [sent.request_type for sent in proxy.sent] == [CONNECT, DISCONNECT]
    proxy.connected(now=2.0)
    assert proxy.sent[-1].request_type == DISCONNECT
    assert list(proxy.relay.held) == [DEVICE]
    proxy.connected(connected=False)
    assert not proxy.relay.held
    assert client.got == []


def test_a_link_that_is_never_answered_ends():
    """The client is told after 25 s, and the device is free for others soon after."""
    proxy, client = Proxy(), Client()
    proxy.relay.request(client, device(CONNECT), 0.0)
    proxy.relay.tick(OPENING)
    assert (client.got[-1].connected, client.got[-1].error) == (False, 133)
    assert proxy.sent[-1].request_type == DISCONNECT
    proxy.relay.tick(OPENING + CLOSING)
    assert not proxy.relay.held


def test_when_the_proxy_is_gone_every_owner_is_told():
    """Once; nothing is held any more."""
    proxy, client = opened()
    proxy.relay.lost()
    assert [(got.connected, got.error) for got in client.got] == [(False, 8)]
    assert not proxy.relay.held


def test_a_flood_of_requests_is_refused():
    """Beyond what a radio could do; the link stays."""
    proxy, client = opened()
    for _ in range(500):
        proxy.relay.request(client, api.BluetoothGATTReadRequest(address=DEVICE, handle=3), 1.0)
    assert len(proxy.sent) <= 200
    assert client.got[-1].error == 132
    assert list(proxy.relay.held) == [DEVICE]


@pytest.mark.parametrize("kind", [UNPAIR, CLEAR])
def test_bonds_and_caches_of_others_devices_are_left_alone(kind):
    """Where a client or a read of ours is connected."""
    proxy, _ = opened()
    stranger = Client()
    proxy.relay.request(stranger, device(kind, address_type=None), 0.0)
    assert (proxy.sent, stranger.got[-1].error) == ([], 132)


def test_who_asked_to_unpair_gets_the_answer():
    """Without a link, too."""
    proxy, client = Proxy(), Client()
    proxy.relay.request(client, device(UNPAIR, address_type=None), 0.0)
    answer = api.BluetoothDeviceUnpairingResponse(address=DEVICE, success=True)
    assert proxy.relay.answer(answer, 0.1)
    assert client.got == [answer]
    assert not proxy.relay.answer(answer, 0.2)


class Relays(RuleBasedStateMachine):
    """Any order of requests, answers, departures: each answer only to the owner, no device with two owners."""

    def __init__(self):
        super().__init__()
        self.proxy = Proxy()
        self.clients = [Client() for _ in range(3)]
        self.now = 0.0
        self.owner = {}

    @rule(who=st.integers(0, 2), address=st.integers(100, 103), kind=st.sampled_from([CONNECT, DISCONNECT, CLEAR]))
    def ask(self, who, address, kind):
        self.proxy.relay.request(self.clients[who], device(kind, address), self.now)

    @rule(address=st.integers(100, 103), connected=st.booleans())
    def tell(self, address, connected):
        held = address in self.proxy.relay.held
        if held:
            self.proxy.connected(address, self.now, connected=connected)

    @rule(address=st.integers(100, 103))
    def answer(self, address):
        owner = self.proxy.relay.owned().get(address)
        before = [len(client.got) for client in self.clients]
        self.proxy.relay.answer(api.BluetoothGATTReadResponse(address=address, handle=1), self.now)
        got = [client for client, count in zip(self.clients, before, strict=True) if len(client.got) > count]
        assert got == ([owner] if owner is not None else [])

    @rule(who=st.integers(0, 2))
    def leave(self, who):
        self.proxy.relay.leave(self.clients[who], self.now)
        assert self.clients[who] not in self.proxy.relay.owned().values()

    @rule(seconds=st.floats(0.1, 40.0))
    def wait(self, seconds):
        self.now += seconds
        self.proxy.relay.tick(self.now)

    @invariant()
    def no_more_links_than_clients_may_have(self):
        assert len(self.proxy.relay.held) <= 2


TestRelays = Relays.TestCase
TestRelays.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
