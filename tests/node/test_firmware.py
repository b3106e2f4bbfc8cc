"""What differs between generations of firmware, as the real ones answered the same bytes."""

import pytest
from support.plain_client import running

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2025_12, ESPHOME_2026_6, ESPHOME_2026_10, FIRST_RAW
from proxy_listener.node.messages import api

PLANT = 0xC47C8D6A1234
KINDS = api.BluetoothDeviceRequestType


def asked(kind):
    return api.BluetoothDeviceRequest(
        address=PLANT, request_type=getattr(KINDS, f"BLUETOOTH_DEVICE_REQUEST_TYPE_{kind}")
    )


@pytest.mark.parametrize("firmware", [FIRST_RAW, ESPHOME_2025_6])
async def test_old_firmware_wants_a_login_even_without_a_password(firmware):
    """A subscription without it ends the session, a password that is not set is refused, an empty one opens."""
    async with running(firmware) as (node, connect):
        client = await (await connect()).hello()
        client.send(api.DeviceInfoRequest())
        assert not (await client.receive()).uses_password
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert await client.receive() is None
        client = await (await connect()).hello()
        client.send(api.AuthenticationRequest(password="mine"))
        assert (await client.receive()).invalid_password
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert await client.receive() is None
        client = await (await connect()).enter(firmware)
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1), api.PingRequest())
        assert await client.receive() is not None
        assert node.stream.holder is not None


@pytest.mark.parametrize(
    ("firmware", "password"), [(ESPHOME_2025_12, None), (ESPHOME_2026_6, None), (ESPHOME_2026_10, Secret("gone"))]
)
async def test_new_firmware_answers_no_login_and_needs_none(firmware, password):
    """Not even where the settings hold a password: 2026.1 did away with it. Before the hello it ends the session."""
    async with running(firmware, password=password) as (_, connect):
        client = await (await connect()).hello()
        (info,) = await client.answers(api.AuthenticationRequest(password="any"), api.DeviceInfoRequest())
        assert not info.uses_password
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert isinstance(await client.receive(), api.BluetoothScannerStateResponse)
        client = await connect()
        client.send(api.AuthenticationRequest())
        assert await client.receive() is None


@pytest.mark.parametrize(("firmware", "goes_on"), [(ESPHOME_2025_6, True), (ESPHOME_2025_12, False)])
async def test_an_unknown_request_before_the_hello(firmware, goes_on):
    """2025.6 passes it over; since, it ends the session. A broken one does so in both."""
    async with running(firmware) as (_, connect):
        client = await connect()
        client.writer.write(client.wire.pack([(9_999, b"")]))
        client.send(api.PingRequest())
        assert (await client.receive() is not None) is goes_on
        client = await connect()
        client.writer.write(client.wire.pack([(68, b"\xff\xff\xff")]))
        assert await client.receive() is None


@pytest.mark.parametrize(
    ("firmware", "info"),
    [(ESPHOME_2025_6, "hall-proxy (esphome v2025.6.3)"), (ESPHOME_2025_12, "2025.12.7"), (ESPHOME_2026_6, "2026.6.5")],
)
async def test_the_hello_says_the_version(firmware, info):
    """With the name around it only in 2025.6 and before."""
    async with running(firmware) as (_, connect):
        client = await connect()
        client.send(api.HelloRequest())
        assert (await client.receive()).server_info == info


@pytest.mark.parametrize(
    ("firmware", "pairing", "unpairing"),
    [
        (ESPHOME_2025_6, [], [api.BluetoothDevicePairingResponse(address=PLANT, paired=True)]),
        (ESPHOME_2026_6, [], [api.BluetoothDevicePairingResponse(address=PLANT, paired=True)]),
        (
            ESPHOME_2026_10,
            [api.BluetoothDevicePairingResponse(address=PLANT, error=-1)],
            [api.BluetoothDeviceUnpairingResponse(address=PLANT, success=True)],
        ),
    ],
)
async def test_pairing_without_a_link(firmware, pairing, unpairing):
    """Before 2026.8 silence, and a removed bond answered as a pairing that succeeded."""
    async with running(firmware) as (_, connect):
        client = await (await connect()).hold(firmware)
        assert await client.answers(asked("PAIR")) == pairing
        assert await client.answers(asked("UNPAIR")) == unpairing


@pytest.mark.parametrize(("firmware", "answers"), [(ESPHOME_2025_6, 0), (ESPHOME_2026_6, 1), (ESPHOME_2026_10, 1)])
async def test_connection_parameters_are_known_since_2026_6(firmware, answers):
    """Before, the request is passed over."""
    async with running(firmware) as (_, connect):
        client = await (await connect()).hold(firmware)
        told = await client.answers(api.BluetoothSetConnectionParamsRequest(address=PLANT))
        assert told == [api.BluetoothSetConnectionParamsResponse(address=PLANT, error=-1)] * answers


@pytest.mark.parametrize(("firmware", "answers"), [(ESPHOME_2026_6, 4), (ESPHOME_2026_10, 0)])
async def test_a_passive_node_on_gatt_requests(firmware, answers):
    """Since 2026.8 all of them stay unanswered; before, each is an error."""
    async with running(firmware.passive()) as (_, connect):
        client = await (await connect()).hold(firmware)
        told = await client.answers(
            api.BluetoothGATTReadRequest(address=PLANT, handle=3),
            api.BluetoothGATTGetServicesRequest(address=PLANT),
            api.BluetoothSetConnectionParamsRequest(address=PLANT),
            asked("CONNECT"),
        )
        assert len(told) == answers


async def test_a_version_1_connect_is_refused_since_2025_12():
    """2025.6 still takes a slot for it and waits to hear the device."""
    async with running(ESPHOME_2025_6) as (_, connect):
        client = await (await connect()).hold(ESPHOME_2025_6)
        taken = api.BluetoothConnectionsFreeResponse(free=2, limit=3, allocated=[PLANT])
        assert await client.answers(asked("CONNECT")) == [taken]
    async with running(ESPHOME_2025_12) as (_, connect):
        client = await (await connect()).hold(ESPHOME_2025_12)
        assert await client.answers(asked("CONNECT")) == [api.BluetoothDeviceConnectionResponse(address=PLANT)]


@pytest.mark.parametrize(("firmware", "answers"), [(ESPHOME_2026_6, 0), (ESPHOME_2026_10, 1)])
async def test_a_new_key_is_never_taken(firmware, answers):
    """Refused where encryption is supported, and unknown where it is not."""
    async with running(firmware) as (_, connect):
        client = await (await connect()).enter(firmware)
        told = await client.answers(api.NoiseEncryptionSetKeyRequest(key=b"x" * 32))
        assert told == [api.NoiseEncryptionSetKeyResponse(success=False)] * answers
