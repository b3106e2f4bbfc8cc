"""When devices are read and when not, over real connections: schedule, limit, shutdown, the lock of a device."""

import asyncio

import attrs
import pytest
from structlog.testing import capture_logs
from support.plant_house import LIVE, PLANT, ROOMS, ignore, plant_house

from proxy_listener.model.timing import DAY
from proxy_listener.node.firmware import NodeTiming
from proxy_listener.proxies.timing import GattTiming
from proxy_listener.reads import ReadTiming
from proxy_listener.reads.queue import DeviceLock
from proxy_listener.reads.read import now

pytestmark = pytest.mark.mdns("listed")


async def test_a_crash_during_a_read_forgets_no_connection():
    """The connection is stored before it is requested."""
    async with plant_house(ROOMS, read_limit=5) as house:
        house.airs["kitchen"].faults = ["absent"]
        read = asyncio.create_task(house.reads.read_now(PLANT, LIVE, ignore))
        await house.airs["kitchen"].opened.wait()
        assert house.start_reads().plan(PLANT).allowed(now()) == 4
        await read


async def test_the_limit_of_a_day():
    """There are no more connections than the limit, scheduled or not, failed ones included, also over a restart."""
    async with plant_house(ROOMS, read_limit=3) as house:
        for air in house.airs.values():
            air.always = "133"
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert len(report.attempts) == 3
        house.start_reads()
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert report.attempts == ()
        assert report.detail == "the limit of 3 connections a day is reached"
        assert sum(air.opens for air in house.airs.values()) == 3


async def test_devices_that_are_not_read():
    """A device without an entry, one never heard, and one without a reader each give the reason."""
    async with plant_house(ROOMS) as house:
        assert "no [[device]] entry" in (await house.reads.read_now(PLANT + 9, LIVE, ignore)).detail
        house.product_id = 0x055B
        assert "no model that is read" in (await house.reads.read_now(PLANT, LIVE, ignore)).detail
        house.product_id = None
        assert "has not been heard" in (await house.reads.read_now(PLANT, LIVE, ignore)).detail
        assert sum(air.opens for air in house.airs.values()) == 0


async def test_when_it_was_read_and_is_due():
    """A device that is read has its last and its next read as times of day; what nothing reads has neither."""
    async with plant_house(ROOMS) as house:
        before = house.reads.times(PLANT)
        assert before.last is None
        assert before.due is not None
        await house.reads.read_now(PLANT, LIVE, ignore)
        after = house.start_reads().times(PLANT)
        assert after.last >= house.readings[-1].time
        assert after.due - after.last == pytest.approx(DAY)
        house.entries.clear()
        assert house.start_reads().times(PLANT) is None


async def test_what_nothing_reads_has_no_routes():
    """A model without a reader has no candidates and no times; a plant has one candidate for each proxy."""
    async with plant_house(ROOMS) as house:
        assert {candidate.proxy for candidate in house.reads.explain(PLANT)} == set(ROOMS)
        house.product_id = 0x055B
        assert house.reads.explain(PLANT) == []
        assert house.reads.times(PLANT) is None


async def test_the_schedule():
    """A sensor is read when it is due and heard, and then not for a day, also after a restart."""
    async with plant_house(ROOMS) as house:
        task = asyncio.create_task(house.reads.run())
        await house.recorded(1)
        await house.reads.idle(PLANT)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        before = house.reads.plan(PLANT)
        after = house.start_reads().plan(PLANT)
        for plan in (before, after):
            assert plan.due_at() - plan.read == pytest.approx(86_400)
            assert (plan.allowed(now()), plan.misses) == (999, 0)
        assert len(house.readings) == 1
        assert await house.taken() == {}


async def test_a_sensor_that_does_not_answer():
    """After a scheduled read that fails everywhere the next one is due an hour later."""
    async with plant_house({"kitchen": -60.0}) as house:
        house.airs["kitchen"].always = "133"
        # Only a refusal that came quickly is tried again at once; on a machine that stalls none comes within 0.2 s.
        house.take_time()
        task = asyncio.create_task(house.reads.run())
        await house.airs["kitchen"].opened.wait()
        await house.reads.idle(PLANT)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        plan = house.reads.plan(PLANT)
        assert plan.due_at() - plan.tried == pytest.approx(3600)
        assert (plan.read, plan.allowed(now()), plan.misses) == (None, 998, 1)


async def test_the_room_that_heard_it_last_counts():
    """If the best room has not heard it for a minute and the second has, it is read."""
    async with plant_house(ROOMS) as house:
        house.ages = {"kitchen": 60.0}
        task = asyncio.create_task(house.reads.run())
        await house.recorded(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_shutting_down_during_a_read():
    """A scheduled read that is cancelled frees its slot."""
    async with plant_house(ROOMS) as house:
        house.airs["kitchen"].always = "hang"
        task = asyncio.create_task(house.reads.run())
        await house.airs["kitchen"].opened.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await house.taken() == {}
        assert house.readings == []


async def test_old_firmware_is_logged_once():
    """A sensor that sends no values by itself is logged with its firmware, once."""
    async with plant_house(ROOMS) as house:
        house.valueless = True
        house.sensors[PLANT].firmware = "2.7.0"
        with capture_logs() as logs:
            for _ in range(2):
                await house.reads.read_now(PLANT, LIVE, ignore)
        told = [entry for entry in logs if entry["log_level"] == "warning"]
        assert [(entry["firmware"], entry["mac"]) for entry in told] == [("2.7.0", "C4:7C:8D:6A:00:01")]


async def test_a_new_configuration():
    """A changed limit applies at once, and earlier connections count."""
    async with plant_house(ROOMS, read_limit=5) as house:
        await house.reads.read_now(PLANT, LIVE, ignore)
        house.reads.reload([attrs.evolve(house.entries[0], read_limit=1)])
        assert "limit of 1" in (await house.reads.read_now(PLANT, LIVE, ignore)).detail


def test_the_time_limits_are_consistent():
    """The proxy's time limit is below ours, ours below that of a live read, and that with the release within 30 s."""
    gatt, reads = GattTiming(), ReadTiming()
    assert gatt.connect > NodeTiming().open
    assert gatt.slots + gatt.connect + gatt.disconnect < reads.live
    assert reads.live + gatt.release + gatt.slots + gatt.settle <= 30


async def test_a_lock_that_is_waited_for_is_not_free_between_two_holders():
    """asyncio's own ``locked()`` is false in that moment."""
    lock, held = DeviceLock(), []

    async def hold(name):
        async with lock:
            held.append(name)

    assert lock.free
    await lock.acquire()
    waiting = asyncio.create_task(hold("second"))
    await asyncio.sleep(0)
    lock.release()
    assert not lock.free
    await waiting
    assert lock.free
    assert held == ["second"]


async def test_a_cancelled_wait_does_not_count_as_waiting():
    """After the holder released the lock it is free."""
    lock = DeviceLock()
    await lock.acquire()
    waiting = asyncio.create_task(lock.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    lock.release()
    assert lock.free


async def test_a_holder_that_fails_releases_the_lock():
    """An exception in the block leaves the lock free."""
    lock = DeviceLock()
    with pytest.raises(ValueError, match="broke"):
        async with lock:
            raise ValueError("broke")
    assert lock.free
