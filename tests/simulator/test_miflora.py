"""A simulated MiFlora answers over GATT as the sensor does, and as the faults say."""

import asyncio
from random import Random

import pytest

from proxy_listener.gatt import miflora
from proxy_listener.gatt.interface import RefusedError
from proxy_listener.model.errors import GattError
from proxy_listener.node.air import OpenError, OperationError
from proxy_listener.simulator import miflora_table as table
from proxy_listener.simulator.miflora import PLACEHOLDER, PlantSensor

MAC = 0xC47C8D6A3E7A
BATTERY, LIVE, MODE, LOG_DATA, LOG_CONTROL, CLOCK = 0x38, 0x35, 0x33, 0x3C, 0x3E, 0x41


@pytest.fixture
def sensor():
    return PlantSensor(MAC, 0x0098, lambda: 10_000_000.0, step=0.001, link_limit=0.2)


async def opened(sensor):
    lost, notified = asyncio.Queue(), asyncio.Queue()
    link = await sensor.open(lost.put_nowait, lambda *told: notified.put_nowait(told))
    return link, lost, notified


async def log_in(link, mac):
    """The login of docs/protocol/miflora.md: session start, RC4(mixA, token), RC4(token, end)."""
    mix_a, _ = table.mixes(mac, 0x0098)
    token = bytes(range(12))
    await link.write(0x1B, bytes.fromhex("90ca85de"), response=True)
    await link.write(0x12, table.rc4(mix_a, token), response=True)
    await link.write(0x12, table.rc4(token, bytes.fromhex("92ab54fa")), response=True)


async def test_live_data_needs_the_mode_change_with_a_response(sensor):
    """The placeholder before it, and after a write without response; then the values (docs/protocol/miflora.md)."""
    link, *_ = await opened(sensor)
    assert await link.read(LIVE) == PLACEHOLDER
    await link.write(MODE, b"\xa0\x1f", response=False)
    assert await link.read(LIVE) == PLACEHOLDER
    await link.write(MODE, b"\xa0\x1f", response=True)
    assert await link.read(LIVE) == bytes.fromhex("ea0000ab00000015b200023c00fb349b")
    assert await link.read(BATTERY) == bytes.fromhex("6128332e322e31")


async def test_old_firmware_needs_no_mode_change(sensor):
    """Before 2.6.6 live data is there at once."""
    sensor.firmware = "2.6.5"
    link, *_ = await opened(sensor)
    assert (await link.read(LIVE))[:2] == b"\xea\x00"


async def test_it_does_not_advertise_while_connected_and_takes_one_central(sensor):
    """The second open does not return; after the first link is closed it advertises again."""
    link, *_ = await opened(sensor)
    assert not sensor.advertises
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened(sensor), 0.05)
    link.close()
    assert sensor.advertises


async def test_it_hangs_up_on_who_does_not_log_in(sensor):
    """The link ends after its limit, with "terminated by the peer"; a right login keeps it."""
    link, lost, _ = await opened(sensor)
    assert await lost.get() == 0x13
    link, lost, _ = await opened(sensor)
    await log_in(link, MAC)
    assert sensor.logins == 1
    link.close()
    link, lost, _ = await opened(sensor)
    await miflora.log_in(Over(link), miflora.PLANTS[0x0098], MAC)
    assert sensor.logins == 2
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lost.get(), 0.3)


async def test_a_login_with_another_key_does_not_keep_the_link(sensor):
    """With mixA of another MAC the sensor closes the link, as without a login."""
    link, lost, _ = await opened(sensor)
    await log_in(link, MAC + 1)
    assert sensor.logins == 0
    assert await lost.get() == 0x13


async def test_the_login_answer_proves_the_sensor(sensor):
    """RC4(mixB, RC4(mixA, answer)) is the token, once notifications are on."""
    link, _, notified = await opened(sensor)
    token = bytes(range(12))
    mix_a, mix_b = table.mixes(MAC, 0x0098)
    await link.write(0x13, b"\x01\x00", response=True)
    await link.write(0x1B, bytes.fromhex("90ca85de"), response=True)
    await link.write(0x12, table.rc4(mix_a, token), response=True)
    handle, answer = await notified.get()
    assert handle == 0x12
    assert table.rc4(mix_b, table.rc4(mix_a, answer)) == token


async def test_the_log_is_hourly_and_newest_first(sensor):
    """Count, entries on the hour of the device's clock, FF beyond the last."""
    sensor.link_limit = 5.0
    sensor.fill_log(50, Random(1))
    link, *_ = await opened(sensor)
    clock = int.from_bytes(await link.read(CLOCK), "little")
    await link.write(LOG_CONTROL, b"\xa0\x00\x00", response=True)
    assert int.from_bytes((await link.read(LOG_DATA))[:2], "little") == 50
    times = []
    for index in range(50):
        await link.write(LOG_CONTROL, b"\xa1" + index.to_bytes(2, "little"), response=True)
        data = await link.read(LOG_DATA)
        assert len(data) == 16
        times.append(int.from_bytes(data[:4], "little"))
    assert times == [clock // 3600 * 3600 - 3600 * back for back in range(50)]
    await link.write(LOG_CONTROL, b"\xa1\x32\x00", response=True)
    assert await link.read(LOG_DATA) == b"\xff" * 16
    assert not sensor.erased


async def test_the_log_can_be_cut(sensor):
    """After so many entries the link is lost, again in the next connection."""
    sensor.fill_log(50, Random(1))
    sensor.faults.drop_after_entries = 3
    for _ in range(2):
        link, lost, _ = await opened(sensor)
        for index in range(3):
            await link.write(LOG_CONTROL, bytes((0xA1, index, 0)), response=True)
            await link.read(LOG_DATA)
        read = asyncio.create_task(link.read(LOG_DATA))
        assert await lost.get() == 0x08
        read.cancel()


async def test_faults_of_opening(sensor):
    """133 the first time only; absent or connected elsewhere: no answer at all."""
    sensor.faults.open_codes = [133]
    with pytest.raises(OpenError) as caught:
        await opened(sensor)
    assert caught.value.code == 133
    link, *_ = await opened(sensor)
    link.close()
    sensor.faults.elsewhere = True
    assert not sensor.advertises
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened(sensor), 0.05)


@pytest.mark.parametrize("answer", ["placeholder", "short", "garbage", "zeros"])
async def test_a_bad_answer_is_refused_by_the_reader_and_then_good(sensor, answer):
    """One bad answer, then the measured ones."""
    sensor.faults.answer, sensor.faults.answers = answer, 1
    link, *_ = await opened(sensor)
    await link.write(MODE, b"\xa0\x1f", response=True)
    with pytest.raises(RefusedError):
        miflora.parse_live(await link.read(LIVE), miflora.PLANTS[0x0098], "3.2.1", [])
    values = miflora.parse_live(await link.read(LIVE), miflora.PLANTS[0x0098], "3.2.1", [])
    assert {**values, "battery": 97} == sensor.live


async def test_a_moved_table_makes_old_handles_wrong(sensor):
    """After a firmware update the kept handle is invalid, and the services say where things are now."""
    sensor.faults.shifted = 0x40
    link, *_ = await opened(sensor)
    with pytest.raises(OperationError) as caught:
        await link.read(BATTERY)
    assert caught.value.code == 1
    handles = {c.uuid: c.handle for service in await link.services() for c in service.characteristics}
    assert (await link.read(handles[0x1A02]))[0] == 97


async def test_a_link_lost_between_write_and_read(sensor):
    """The write is answered, then the link is gone; the next one holds."""
    sensor.faults.lose_after_write = 1
    link, lost, _ = await opened(sensor)
    await link.write(MODE, b"\xa0\x1f", response=True)
    assert await lost.get() == 0x08
    link, lost, _ = await opened(sensor)
    await link.write(MODE, b"\xa0\x1f", response=True)
    assert (await link.read(LIVE))[:2] == b"\xea\x00"
    assert lost.empty()


class Over:
    """A link as the reader's Gatt, by UUID."""

    def __init__(self, link):
        self._link = link
        self._handles = {
            f"0000{c.uuid:04x}-0000-1000-8000-00805f9b34fb": c.handle
            for service in table.SERVICES
            for c in service.characteristics
        }

    async def read(self, characteristic):
        return await self._link.read(self._handles[characteristic])

    async def write(self, characteristic, data, response):
        try:
            await self._link.write(self._handles[characteristic], data, response)
        except OperationError as error:
            raise GattError("error", str(error)) from error

    async def pause(self, seconds):
        await asyncio.sleep(min(seconds, 0.01))


async def test_a_whole_read_gives_what_the_sensor_measures(sensor):
    """Battery, firmware and live values in one connection."""
    link, *_ = await opened(sensor)
    answer = await miflora.read(Over(link), miflora.PLANTS[0x0098])
    assert answer.values == {**sensor.live, "firmware": "3.2.1"}
    assert answer.refused == ()
