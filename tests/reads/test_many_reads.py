"""Many plants and few proxies, on a clock that leaps: the cost of a check, waiting, and the order of reads."""

import asyncio
import selectors
from collections import Counter
from contextlib import asynccontextmanager

import attrs
import pytest
from support.plant_house import plant
from support.ranked import proxy

from proxy_listener.gatt import miflora
from proxy_listener.model.errors import GattError
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Heard
from proxy_listener.reads import ReadContext, ReadOptions, ReadQueue, ReadTiming

FIRST = 0xC47C8D6A0000
BATTERY = bytes.fromhex("6328332e312e39")
LIVE = bytes.fromhex("12010000f00000002245013c00fb349b")
WALL = 1_700_000_000.0


class Leaping(selectors.SelectSelector):
    """If nothing is ready, the clock moves on to the next timer."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.leaping = Leaping()
        super().__init__(self.leaping)

    def time(self):
        return self.leaping.now


class Notes(dict):
    def noted(self, name):
        return self.get(name)

    def note(self, name, value):
        self[name] = value


class Link:
    def distrust(self):
        return False

    async def read(self, characteristic):
        return BATTERY if characteristic == miflora.BATTERY else LIVE

    async def write(self, characteristic, data, response):
        pass

    async def pause(self, seconds):
        await asyncio.sleep(seconds)


@attrs.define(eq=False)
class Greenhouse:
    """``hears``: by device, the dBm of each proxy. A connection takes 3 s; one through a proxy in ``bad`` fails."""

    hears: dict
    proxies: dict
    age: float = 1.0
    bad: set = attrs.field(factory=set)
    slow: int | None = None  # a connection to this one takes 20 s more
    chance: object = lambda: 0.0
    looks: int = 0
    reads: list = attrs.field(factory=list)  # (device, proxy, when), in the order of their ends
    running: Counter = attrs.field(factory=Counter)
    crowd: int = 0

    def start(self, **timing):
        return ReadQueue(
            ReadContext(
                entries=[DeviceSettings(mac) for mac in self.hears],
                readable=lambda: set(self.hears),
                device=self._device,
                proxies=self._look,
                connect=self._link,
                record=lambda reading: self.reads.append((reading.mac, reading.proxy, now())),
                notes=Notes(),
                hours=self._none,
                logged=self._none,
                valueless=lambda _mac: False,
                wall=lambda: WALL + now(),
                chance=self.chance,
            ),
            ReadTiming(**timing),
        )

    def _look(self):
        self.looks += 1
        return list(self.proxies.values())

    def _device(self, mac):
        heard = [Heard(name, name, rssi, self.age, 0.9, 0) for name, rssi in self.hears[mac].items()]
        return plant(mac, self.age, heard)

    @asynccontextmanager
    async def _link(self, name, mac, _kind):
        assert not self.running[name], "two reads through one proxy"
        self.running[name] += 1
        self.crowd = max(self.crowd, len(asyncio.all_tasks()))
        try:
            await asyncio.sleep(23.0 if mac == self.slow else 3.0)
            if name in self.bad:
                raise GattError("timeout", "it does not answer")
            yield Link()
        finally:
            self.running[name] -= 1

    async def _none(self, *_):
        return ()


def now():
    return asyncio.get_running_loop().time()


def greenhouse(plants, proxies, **more):
    """Each plant is heard by five proxies in a row, the middle one best."""
    names = [f"bed {number}" for number in range(proxies)]
    hears = {
        FIRST + plant: {names[(plant + aside) % proxies]: -60.0 - 5 * abs(aside) for aside in range(-2, 3)}
        for plant in range(plants)
    }
    return Greenhouse(hears, {name: proxy(name) for name in names}, **more)


def leap(work):
    """Run a coroutine on a leaping clock."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(work)


async def schedule(reads, seconds):
    """The schedule, for so long."""
    try:
        async with asyncio.timeout(seconds):
            await reads.run()
    except TimeoutError:
        return


def test_all_are_due_at_once():
    """After a day's pause each plant is read once, no read begins only to wait, and a check asks for proxies once."""
    house = greenhouse(300, 20)
    leap(schedule(house.start(), 150.0))
    assert Counter(mac for mac, _, _ in house.reads) == dict.fromkeys(house.hears, 1)
    # Beside the reads, one for each proxy at most, there is the schedule, and no other task.
    assert 15 < house.crowd <= 20 + 1
    assert house.looks <= 150 / ReadTiming().tick + 1


def test_routes_that_fail():
    """If one proxy never answers, its plants are read through others, and the proxies are not asked for each."""
    house = greenhouse(100, 20, bad={"bed 3"})
    leap(schedule(house.start(), 120.0))
    assert {mac for mac, _, _ in house.reads} == set(house.hears)
    assert "bed 3" not in {name for _, name, _ in house.reads}
    assert house.looks <= 120 / ReadTiming().tick + 120 / ReadTiming().poll


@pytest.mark.parametrize(("age", "rssi", "most"), [(16.0, -60.0, 0), (1.0, -90.0, 31)])
def test_the_proxies_are_asked_only_for_plants_that_were_just_heard(age, rssi, most):
    """Plants that are due and not heard lately do not cause a look at the proxies; weak ones one a check."""
    house = greenhouse(50, 10, age=age)
    for heard in house.hears.values():
        heard.update(dict.fromkeys(heard, rssi))
    leap(schedule(house.start(), 60.0))
    assert house.reads == []
    assert house.looks <= most


def test_the_longest_overdue_is_first():
    """With one proxy and many plants, they are read in the order in which they became due."""
    jitter = iter([number * 0.37 % 1 / 100 for number in range(1000)])
    house = Greenhouse({FIRST + number: {"bed": -60.0} for number in range(30)}, {"bed": proxy("bed")})
    house.chance = lambda: next(jitter)
    reads = house.start()

    async def work():
        due = {mac: reads.plan(mac).due_at() - now() for mac in house.hears}
        assert max(due.values()) <= 3.0
        # The first few become due while the others are not, yet; all must be to compare them.
        await asyncio.sleep(3.0)
        await schedule(reads, 300.0)
        return due

    due = leap(work())
    assert [mac for mac, _, _ in house.reads] == sorted(due, key=due.get)


def test_a_busy_best_route_is_waited_for_before_the_read_begins():
    """While the strong proxy is full nothing begins for the time of patience; then the weak one reads."""
    house = Greenhouse(
        {FIRST: {"near": -50.0, "far": -80.0}}, {"near": proxy("near", slots_free=0), "far": proxy("far")}
    )
    leap(schedule(house.start(), 60.0))
    ((_, name, when),) = house.reads
    assert name == "far"
    assert ReadTiming().patience <= when <= ReadTiming().patience + 2 * ReadTiming().tick + 5.0


def test_the_schedule_does_not_wait_for_reads_on_demand():
    """A read on demand is cancelled while another one waits: all other plants are read meanwhile, this one once."""
    house = greenhouse(6, 6)
    for name in house.proxies:
        house.proxies[name] = proxy(name, slots_free=0)
    reads = house.start()

    async def work():
        first, second = (asyncio.create_task(reads.read_now(FIRST, ReadOptions(), lambda _: None)) for _ in range(2))
        await asyncio.sleep(1.0)
        for name in house.proxies:
            house.proxies[name] = proxy(name)
        house.slow = FIRST
        first.cancel()
        began = now()
        await schedule(reads, 60.0)
        assert (await second).ok
        return began

    began = leap(work())
    ends = {mac: when - began for mac, _, when in house.reads}
    assert len(house.reads) == len(ends) == 6
    assert ends.pop(FIRST) > 20.0
    assert max(ends.values()) < 10.0


def test_a_cancelled_schedule_releases_everything():
    """Cancelling the schedule also releases the proxy and the lock of a read that was about to begin."""
    house = greenhouse(5, 5)
    reads = house.start()

    async def work():
        running = asyncio.create_task(reads.run())
        # One turn of the loop: the schedule has given proxies away, and no read has taken its first step.
        await asyncio.sleep(0)
        assert any("another read" in candidate.reason for candidate in reads.explain(FIRST))
        assert not running.done()
        started = asyncio.all_tasks() - {asyncio.current_task()}
        for one in started:
            one.cancel()
        await asyncio.gather(*started, return_exceptions=True)
        assert house.crowd == 0
        assert not any("another read" in candidate.reason for candidate in reads.explain(FIRST))
        await schedule(reads, 20.0)

    leap(work())
    assert len(house.reads) == 5
