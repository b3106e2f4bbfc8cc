"""One truth from many rooms: the property that this project exists for, on simulated evenings.

Eight rooms that each lose 40 % of what they could hear, proxies that stall for up to four minutes, devices that change
their batteries, a neighbour, and an attacker who replays and forges. The readings must be the union of what the rooms
delivered: nothing lost, nothing twice, and nothing that no device sent, whatever the seed.
"""

import random

import pytest
from support.attackers import forgeries, replays
from support.listening import Air
from support.virtual_time import STARTED, Network, VirtualHouse, in_virtual_time

from proxy_listener.model.advertisement import Advertisement
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.simulator.comparison import Comparison, compare
from proxy_listener.simulator.house import House

STALLING = Network(stalls=2.0)
ATTACKED = (replays(1800.0), forgeries(900.0))


def entries(house: House) -> list[DeviceSettings]:
    return [
        DeviceSettings(mac=device.mac, name=device.name, bindkey=(device.bindkey,) if device.bindkey else ())
        for device in house.devices
    ]


def keyed(house: House) -> set[int]:
    return {device.mac for device in house.devices if device.bindkey}


def neighbours(house: House) -> set[int]:
    return {device.mac for device in house.neighbours}


def air_of(house: House, now: float = STARTED) -> Air:
    return Air(*entries(house), now=now, wall=0.0)


def play(air: Air, advertisements) -> None:
    for a in advertisements:
        air.listener.hear(a.proxy, a.address, a.address_type, a.rssi, a.data, a.time, a.heard)


def authentic(comparison: Comparison, house: House) -> tuple[list, list, list]:
    """The errors of devices that have a key. A plain frame replayed after five minutes cannot be recognised."""
    keys = keyed(house)
    return (
        [frame for frame in comparison.lost if frame.mac in keys],
        [reading for reading in comparison.twice if reading.mac in keys],
        [reading for reading in comparison.false if reading.mac in keys],
    )


def evening(house: House, seconds: float, attackers=()) -> VirtualHouse:
    return in_virtual_time(house, seconds, network=STALLING, attackers=attackers, restarts=3, pace=1.0)


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_readings_are_the_union_of_what_the_rooms_delivered_each_once(seed):
    house = House(seed, 8, 15, loss=0.4)
    played = evening(house, 3600)
    air = air_of(house)
    play(air, played)
    comparison = compare(played.truth, air.readings, played.traffic.epoch, neighbours(house))
    assert comparison.heard > 1000
    assert comparison.perfect, (comparison.lost[:3], comparison.twice[:3], comparison.false[:3])


@pytest.mark.parametrize("seed", ["d", "e"])
def test_replays_and_forgeries_come_to_nothing_and_cost_nothing(seed):
    house = House(seed, 8, 15, loss=0.4)
    played = evening(house, 3600, ATTACKED)
    air = air_of(house)
    play(air, played)
    comparison = compare(played.truth, air.readings, played.traffic.epoch, neighbours(house))
    assert authentic(comparison, house) == ([], [], [])
    assert not comparison.lost
    assert air.listener.outcomes[Outcome.REPLAY] > 100
    assert air.listener.outcomes[Outcome.WRONG_BINDKEY] > 100


def test_an_evening_cut_in_two_by_a_restart_is_the_same_evening():
    house = House("f", 8, 15, loss=0.4)
    played = evening(house, 3600, ATTACKED)
    heard = list(played)
    middle = len(heard) // 2
    first = air_of(house)
    play(first, heard[:middle])
    second = Air(*entries(house), memory=first.memory, now=STARTED, wall=heard[middle].time - STARTED)
    play(second, heard[middle:])
    readings = first.readings + second.readings
    comparison = compare(played.truth, readings, played.traffic.epoch, neighbours(house))
    assert authentic(comparison, house) == ([], [], [])
    assert not comparison.lost


def identities(readings: list[Reading]) -> list[tuple[int, bytes]]:
    return sorted((reading.mac, reading.identity) for reading in readings)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_and_interleaving_of_proxies_never_change_the_set_of_readings(seed):
    """Each proxy's advertisements keep their order; how the proxies' streams mix, and how late each is, is chance."""
    house = House("g", 6, 15, loss=0.4)
    heard = list(in_virtual_time(house, 900, pace=4.0))
    chance = random.Random(seed)
    delay = {a.proxy: chance.uniform(0.0, 240.0) for a in heard}
    mixed = sorted(heard, key=lambda a: a.heard + delay[a.proxy])
    shifted = [
        Advertisement(
            a.address, a.address_type, a.data, a.proxy, a.rssi, a.time + delay[a.proxy], a.heard + delay[a.proxy]
        )
        for a in mixed
    ]
    straight, crooked = air_of(house), air_of(house)
    play(straight, heard)
    play(crooked, shifted)
    assert identities(straight.readings) == identities(crooked.readings)
    assert len(straight.readings) > 500


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_day_of_twenty_devices_in_eight_rooms(seed):
    """Restarts, wraps, stalls, an attacker, for 24 hours of virtual time."""
    house = House(f"day {seed}", 8, 20, loss=0.4)
    played = in_virtual_time(
        house, 86_400, network=STALLING, attackers=(replays(300.0), forgeries(150.0)), restarts=6, pace=1.0
    )
    air = air_of(house)
    play(air, played)
    comparison = compare(played.truth, air.readings, played.traffic.epoch, neighbours(house))
    assert authentic(comparison, house) == ([], [], [])
    assert not comparison.lost
