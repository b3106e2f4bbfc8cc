"""Active reads over real connections to nodes: the right proxy, every failure, right values, free slots."""

import asyncio
import json
from random import Random

import pytest
from aioesphomeapi.client import APIClient
from structlog.testing import capture_logs
from support.plant_house import LIVE, NOISE, PLANT, ROOMS, ignore, plant_house, tried

from proxy_listener.gatt import miflora
from proxy_listener.node import firmware as generations
from proxy_listener.simulator.miflora import PlantFaults

pytestmark = pytest.mark.mdns("listed")

TWO_FAR = {"kitchen": -60.0, "hall": -85.0}


async def good(house, report, through):
    """The read went through this proxy, has what the sensor measures and nothing else, and all slots are free."""
    assert report.ok, report
    assert report.attempts[-1].proxy == through
    assert await house.taken() == {}
    truth = house.sensors[PLANT].live | {"firmware": house.sensors[PLANT].firmware}
    assert house.readings[-1].values == truth
    assert report.values == truth


async def test_the_strongest_free_route():
    """Of three rooms the strongest is used, at the first attempt, and the reading names it."""
    async with plant_house(ROOMS) as house:
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "kitchen")
        (reading,) = house.readings
        assert (reading.source, reading.proxy, reading.rssi, reading.trust) == ("read", "kitchen", -60, "claimed")
        assert (reading.counter, reading.identity, reading.room) == (None, b"", "Kitchen")


async def test_the_strongest_without_a_slot():
    """A free proxy that is 10 dB weaker is preferred to a full one."""
    async with plant_house(ROOMS) as house:
        await house.slots("kitchen", 0)
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "hall")
        assert tried(report) == [("hall", "")]


async def test_the_strongest_is_passive():
    """A passive proxy is not used, even if it is the strongest."""
    async with plant_house(ROOMS, firmware={"kitchen": generations.ESPHOME_2026_10.passive()}) as house:
        await good(house, await house.reads.read_now(PLANT, LIVE, ignore), "hall")


@pytest.mark.parametrize(
    ("fault", "causes"),
    [
        ("133", ["refused", "refused"]),
        ("absent", ["refused"]),
        ("lost", ["connection_lost", "connection_lost"]),
        ("hang", ["timeout"]),
        ("garbage", ["refused_answer", "refused_answer"]),
        ("empty", ["refused_answer", "refused_answer"]),
        ("zeros", ["refused_answer", "refused_answer"]),
    ],
)
async def test_the_strongest_fails(fault, causes):
    """Each failure costs one attempt, or two if the first was quick; then the next proxy reads the sensor."""
    async with plant_house(ROOMS) as house:
        house.airs["kitchen"].always = fault
        if len(causes) == 2:
            house.take_time()
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "hall")
        assert tried(report) == [*(("kitchen", cause) for cause in causes), ("hall", "")]


@pytest.mark.parametrize("fault", ["133", "lost", "garbage", "empty", "zeros"])
async def test_a_failure_of_the_first_try_only(fault):
    """After status 133 right after a link, or an implausible answer, the same proxy succeeds at once."""
    async with plant_house(ROOMS) as house:
        house.take_time()
        house.airs["kitchen"].faults = [fault]
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "kitchen")
        assert len(report.attempts) == 2
        assert house.airs["hall"].opens == 0


async def test_stale_handles():
    """If the sensor's handles moved, the cached table is dropped and the same proxy reads it at once."""
    async with plant_house(ROOMS) as house:
        house.take_time()
        await house.reads.read_now(PLANT, LIVE, ignore)
        house.sensors[PLANT].faults.shifted = 0x40
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "kitchen")
        assert tried(report) == [("kitchen", "bad_handle"), ("kitchen", "")]


@pytest.mark.parametrize("answer", ["placeholder", "short", "garbage", "zeros"])
async def test_bad_live_data_is_not_published(answer):
    """If the sensor answers anything but live data, the battery is read and no other value is reported."""
    async with plant_house(ROOMS) as house:
        house.sensors[PLANT].faults = PlantFaults(answer=answer)
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert report.values == {"battery": 97, "firmware": "3.2.1"}
        assert report.refused[-1].startswith("live data: ")
        assert house.readings[-1].values == report.values


async def test_the_proxy_loses_power():
    """The read continues through the next room; the lost proxy is used again when it is back."""
    async with plant_house(ROOMS) as house:
        house.airs["kitchen"].faults = ["absent"]
        read = asyncio.create_task(house.reads.read_now(PLANT, LIVE, ignore))
        await house.airs["kitchen"].opened.wait()
        await house.nodes["kitchen"].power_off()
        report = await read
        assert tried(report) == [("kitchen", "proxy_gone"), ("hall", "")]
        await house.nodes["kitchen"].start()
        await house.live("kitchen")
        await good(house, await house.reads.read_now(PLANT, LIVE, ignore), "kitchen")


async def test_another_client_takes_the_stream():
    """If another client gets the answers, one attempt times out, the next room reads, and all slots are free."""
    async with plant_house(ROOMS) as house:
        thief = APIClient("127.0.0.1", house.nodes["kitchen"].port, "")
        await thief.connect(login=True)
        thief.subscribe_bluetooth_le_raw_advertisements(lambda _batch: None)
        await thief.device_info()
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert tried(report) == [("kitchen", "no_answer"), ("hall", "")]
        await good(house, report, "hall")
        await thief.disconnect()


async def test_connected_elsewhere():
    """A sensor that is connected to a phone does not answer: each room is tried once and reported."""
    async with plant_house(ROOMS) as house:
        house.sensors[PLANT].faults.elsewhere = True
        with capture_logs() as logs:
            report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert not report.ok
        assert tried(report) == [("kitchen", "refused"), ("hall", "refused"), ("cellar", "refused")]
        assert house.readings == []
        assert await house.taken() == {}
        (failed,) = [entry for entry in logs if entry["event"] == "read failed"]
        assert len(failed["attempts"]) == 3
        assert failed["routes"] == [f"{c.proxy}: {c.reason}" for c in report.candidates]


async def test_nothing_eligible():
    """If no proxy hears it there is no attempt, and each candidate has a reason."""
    async with plant_house(ROOMS) as house:
        house.age = 400.0
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert (report.ok, report.attempts, report.detail) == (False, (), "no proxy can read the device now")
        assert all("last heard the device 400 s ago" in candidate.reason for candidate in report.candidates)
        assert house.reads.explain(PLANT) == list(report.candidates)


async def test_two_sensors_and_one_good_proxy():
    """The second read waits for the strong proxy, which is not used twice at once; a weak one is not used."""
    async with plant_house(TWO_FAR, plants=2) as house:
        steps = []

        async def read(mac):
            report = await house.reads.read_now(mac, LIVE, lambda step: steps.append((step.step, mac)))
            steps.append(("done", mac))
            return report

        reports = await asyncio.gather(read(PLANT), read(PLANT + 1))
        assert [tried(report) for report in reports] == [[("kitchen", "")]] * 2
        assert ("waiting for a busy proxy", PLANT + 1) in steps
        assert steps.index(("connecting", PLANT + 1)) > steps.index(("done", PLANT))


async def test_recent_failures_count_until_a_success():
    """A room that has just failed is not tried first; a success there resets its failures."""
    async with plant_house(ROOMS) as house:
        house.airs["kitchen"].faults = ["absent"]
        await house.reads.read_now(PLANT, LIVE, ignore)
        assert tried(await house.reads.read_now(PLANT, LIVE, ignore)) == [("hall", "")]
        await house.slots("hall", 0)
        assert tried(await house.reads.read_now(PLANT, LIVE, ignore)) == [("kitchen", "")]
        await house.slots("hall", 3)
        assert tried(await house.reads.read_now(PLANT, LIVE, ignore)) == [("kitchen", "")]


async def test_cached_handles_of_other_characteristics():
    """If a cached table has the handles of other characteristics, nothing is believed and it is read again."""
    async with plant_house(ROOMS) as house:
        house.take_time()
        await house.reads.read_now(PLANT, LIVE, ignore)
        name = "handles/C4:7C:8D:6A:00:01"
        wrong = json.loads(house.notes[name])
        house.notes[name] = json.dumps(dict.fromkeys(wrong, wrong[miflora.MODE]))
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "kitchen")
        assert tried(report) == [("kitchen", "refused_answer"), ("kitchen", "")]


async def test_patience_ends():
    """If the strong proxy stays busy, the weak one reads in the end."""
    async with plant_house(TWO_FAR) as house:
        await house.slots("kitchen", 0)
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "hall")
        assert tried(report) == [("hall", "")]


async def test_the_same_sensor_twice():
    """Two requests for one sensor are two reads, one after the other."""
    async with plant_house(ROOMS) as house:
        reports = await asyncio.gather(*(house.reads.read_now(PLANT, LIVE, ignore) for _ in range(2)))
        assert [tried(report) for report in reports] == [[("kitchen", "")]] * 2


async def storm(reads, seed):
    """Reads through three rooms of which at least one works, while the others fail at random."""
    chance = Random(seed)
    faults = ["133", "absent", "lost", "hang", "garbage", "empty", "zeros", None]
    old = {"hall": generations.ESPHOME_2026_6, "cellar": generations.ESPHOME_2025_6}
    async with plant_house({"cellar": -75.0, "kitchen": -60.0, "hall": -70.0}, firmware=old) as house:
        for number in range(reads):
            sensor = house.sensors[PLANT]
            sensor.tenths, sensor.moisture = chance.randint(-100, 400), chance.randint(0, 100)
            able = chance.choice(list(house.airs))
            for name, air in house.airs.items():
                air.always = None if name == able else chance.choice(faults)
                air.faults = ["133"] if chance.random() < 0.2 else []
            report = await house.reads.read_now(PLANT, LIVE, ignore)
            assert report.ok, (number, report)
            assert report.values == sensor.live | {"firmware": "3.2.1"}
            assert house.readings[-1].values == report.values
            assert await house.taken() == {}
        assert len(house.readings) == reads


async def test_reads_with_random_faults():
    """Every read that some proxy can do succeeds with the right values, and all slots are free afterwards."""
    await storm(12, 1)


@pytest.mark.long
async def test_a_hundred_reads_with_random_faults():
    """The long form."""
    await storm(100, 2)


async def test_the_reasons_during_a_read():
    """The candidates and their reasons are available at any time, also while a read runs."""
    async with plant_house(ROOMS) as house:
        house.airs["kitchen"].always = "absent"
        read = asyncio.create_task(house.reads.read_now(PLANT, LIVE, ignore))
        await house.airs["kitchen"].opened.wait()
        kitchen = next(c for c in house.reads.explain(PLANT) if c.proxy == "kitchen")
        assert (kitchen.busy, kitchen.chosen) == (True, False)
        assert "another read is running through it" in kitchen.reason
        await read


async def test_other_rooms_hear_on_during_a_read():
    """While one proxy connects and reads, no advertisement of the other rooms is lost."""
    async with plant_house(ROOMS) as house:
        house.airs["kitchen"].faults = ["absent"]
        read = asyncio.create_task(house.reads.read_now(PLANT, LIVE, ignore))
        await house.airs["kitchen"].opened.wait()
        assert not house.nodes["kitchen"].hear(0xAABBCCDDEEFF, 0, -50, NOISE)
        sent = 0
        while not read.done():
            sent += house.nodes["cellar"].hear(0xAABBCCDDEEFF, 0, -70, NOISE)
            await house.all_heard("cellar", 0xAABBCCDDEEFF, sent)
        assert tried(await read) == [("kitchen", "refused"), ("hall", "")]
        assert sent > 1


async def test_a_proxy_that_lists_services_without_end():
    """Reads of any device go through other proxies for an hour; the first read goes on through the next best."""
    async with plant_house(ROOMS, plants=2) as house:
        house.airs["kitchen"].always = "boundless"
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert tried(report) == [("kitchen", "excess"), ("hall", "")]
        assert tried(await house.reads.read_now(PLANT + 1, LIVE, ignore)) == [("hall", "")]
        kitchen = next(each for each in house.reads.explain(PLANT + 1) if each.proxy == "kitchen")
        assert kitchen.reason.startswith("not used for reads for an hour: the proxy listed more than")


async def test_a_room_that_hung_is_not_waited_for_again():
    """The read after one that hung goes through another room at once, and no person's read tries the first again."""
    async with plant_house(ROOMS) as house:
        house.start_reads(hang=0.0)
        house.airs["kitchen"].faults = ["absent"]
        assert tried(await house.reads.read_now(PLANT, LIVE, ignore)) == [("kitchen", "refused"), ("hall", "")]
        house.rssi["kitchen"] = -20.0
        for _ in range(2):
            assert tried(await house.reads.read_now(PLANT, LIVE, ignore)) == [("hall", "")]
        assert house.airs["kitchen"].opens == 1


async def test_one_unanswered_request_where_there_is_one_route():
    """The only route, on which a request was not answered, is tried once more: the read succeeds."""
    async with plant_house({"kitchen": -60.0}) as house:
        house.airs["kitchen"].faults = ["hang"]
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        await good(house, report, "kitchen")
        assert tried(report) == [("kitchen", "timeout"), ("kitchen", "")]


async def test_a_sensor_that_never_answers_where_there_is_one_route():
    """It is asked once more, and not again."""
    async with plant_house({"kitchen": -60.0}) as house:
        house.airs["kitchen"].always = "hang"
        report = await house.reads.read_now(PLANT, LIVE, ignore)
        assert tried(report) == [("kitchen", "timeout")] * 2
        assert report.detail == "every route failed"
