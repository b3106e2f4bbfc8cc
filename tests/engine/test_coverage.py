"""What each room is good for, as values, and as the running service says it over its socket."""

import asyncio
import time

import aiohttp
import attrs
import pytest

from proxy_listener.config import Config
from proxy_listener.engine.coverage import Coverage, DeviceCoverage, ProxyCoverage, coverage
from proxy_listener.model.advertisement import PUBLIC, mac_text
from proxy_listener.model.history import Reception
from proxy_listener.model.settings import DeviceSettings, DiscoverySettings, ProxySettings
from proxy_listener.service import service
from proxy_listener.simulator import frames
from proxy_listener.state import CONTROL_SOCKET

CLIMATE, DOOR, PLANT = 0xA4C1380283F4, 0xE4AAEC755F23, 0xC47C8D6DA435
NAMES = {CLIMATE: "Climate", DOOR: "Door", PLANT: "Plant"}
ROOMS = {"kitchen": "Kitchen", "hall": "Hall", "attic": "Attic", "cellar": "Cellar"}


def report(record, names=NAMES, rooms=ROOMS):
    return coverage(record, rooms, names, names, 168.0)


def proxy(made, name):
    return next(proxy for proxy in made.proxies if proxy.proxy == name)


def test_the_whole_report():
    """Two devices, three proxies that hear and one that does not: every number."""
    made = report(
        [
            Reception("kitchen", CLIMATE, 1, 90, 40, 100),
            Reception("hall", CLIMATE, 1, 60, 10, 100),
            Reception("attic", CLIMATE, 1, 20, 0, 100),
            Reception("hall", DOOR, 1, 8, 8, 8),
        ]
    )
    assert made == Coverage(
        168.0,
        [
            DeviceCoverage(CLIMATE, "Climate", 100, {"attic": 0.2, "hall": 0.6, "kitchen": 0.9}, None),
            DeviceCoverage(DOOR, "Door", 8, {"hall": 1.0}, "hall"),
        ],
        [
            ProxyCoverage("attic", "Attic", 20, 0, 1, {}, adds_nothing=True, hears_nothing=False),
            ProxyCoverage("cellar", "Cellar", 0, 0, 0, {}, adds_nothing=False, hears_nothing=True),
            ProxyCoverage(
                "hall", "Hall", 68, 18, 2, {CLIMATE: 0.1, DOOR: 1.0}, adds_nothing=False, hears_nothing=False
            ),
            ProxyCoverage("kitchen", "Kitchen", 90, 40, 1, {CLIMATE: 0.4}, adds_nothing=False, hears_nothing=False),
        ],
        [PLANT],
    )


def test_hours_add_up_whoever_heard_in_them():
    """A device that one room hears in one hour and another in the next: half of it each, and all of that alone."""
    made = report([Reception("kitchen", DOOR, 1, 10, 10, 10), Reception("hall", DOOR, 2, 10, 10, 10)])
    assert made.devices == [DeviceCoverage(DOOR, "Door", 20, {"hall": 0.5, "kitchen": 0.5}, None)]
    assert proxy(made, "hall").lost_without == {DOOR: 0.5}


def test_a_proxy_that_came_later_counts_less():
    """Its row began in the middle of the hour; the fullest row knows how many frames there were."""
    made = report([Reception("kitchen", DOOR, 1, 10, 5, 10), Reception("hall", DOOR, 1, 5, 0, 6)])
    assert made.devices[0].frames == 10
    assert made.devices[0].shares == {"hall": 0.5, "kitchen": 1.0}


def test_one_in_a_hundred_is_nothing():
    """Less than 1 % of every device: it adds nothing. As soon as it is 1 % of one, it adds something."""
    nothing = report([Reception("kitchen", CLIMATE, 1, 1000, 991, 1000), Reception("hall", CLIMATE, 1, 9, 9, 1000)])
    something = report([Reception("kitchen", CLIMATE, 1, 990, 990, 1000), Reception("hall", CLIMATE, 1, 10, 10, 1000)])
    assert (proxy(nothing, "hall").adds_nothing, proxy(something, "hall").adds_nothing) == (True, False)


def test_a_row_of_nothing_heard_is_no_hearing():
    """The record notes also who missed frames."""
    made = report([Reception("kitchen", DOOR, 1, 3, 3, 3), Reception("hall", DOOR, 1, 0, 0, 3)])
    assert made.devices == [DeviceCoverage(DOOR, "Door", 3, {"kitchen": 1.0}, "kitchen")]
    assert proxy(made, "hall").hears_nothing


def test_nothing_recorded_is_nobody_heard():
    made = report([])
    assert made.devices == []
    assert [one.hears_nothing for one in made.proxies] == [True] * 4
    assert made.unheard == [CLIMATE, DOOR, PLANT]


@pytest.mark.mdns("listed")
async def test_the_running_service_counts_what_its_rooms_hear(tmp_path):
    """Ten frames: the kitchen hears all, the hall two of them too, the cellar nothing; then, a minute later, two frames
    that only the hall hears. A listed device that nobody hears is told."""
    entries = tuple(ProxySettings(name, room=name.title()) for name in ("kitchen", "hall", "cellar"))
    devices = tuple(DeviceSettings(mac, name=NAMES[mac]) for mac in (DOOR, PLANT))
    config = attrs.evolve(
        Config(),
        discovery=DiscoverySettings("listed", None, ("127.0.0.1",)),
        proxies=entries,
        devices=devices,
        sinks={},
    )
    async with service(config, tmp_path) as running:
        heard = time.monotonic()
        for number, rooms in enumerate([("kitchen", "hall")] * 2 + [("kitchen",)] * 8 + [("hall",)] * 2):
            if number == 10:
                running.pipeline.record_reception(time.time())
            for room in rooms:
                say(running, room, number, heard + number)
        async with asyncio.timeout(10.0):
            while not (tmp_path / CONTROL_SOCKET).exists():  # noqa: ASYNC110  a file tells nobody when it comes
                await asyncio.sleep(0.01)
        connector = aiohttp.UnixConnector(path=str(tmp_path / CONTROL_SOCKET))
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.get("http://localhost/coverage") as answer,
        ):
            assert answer.status == 200
            document = await answer.json()
    door = mac_text(DOOR)
    (device,) = document["devices"]
    assert device == {
        "mac": door,
        "name": "Door",
        "frames": 12,
        "shares": {"hall": 0.333, "kitchen": 0.833},
        "only": None,
    }
    assert document["unheard"] == [mac_text(PLANT)]
    proxies = {one.pop("proxy"): one for one in document["proxies"]}
    assert proxies == {
        "cellar": row("Cellar", 0, 0, 0, {}, hears_nothing=True),
        "hall": row("Hall", 4, 2, 1, {door: 0.167}),
        "kitchen": row("Kitchen", 10, 8, 1, {door: 0.667}),
    }


def say(running, room, number, heard):
    payload = frames.frame(0x0098, number + 1, frames.obj(0x1004, (200 + number).to_bytes(2, "little")), mac=DOOR)
    data = frames.advertisement(payload)
    running.pipeline.hear(room, DOOR, PUBLIC, -60, data, time.time(), heard)


def row(room, heard, alone, devices, lost, *, hears_nothing=False):
    return {
        "room": room,
        "frames": heard,
        "alone": alone,
        "devices": devices,
        "lost_without": lost,
        "adds_nothing": False,
        "hears_nothing": hears_nothing,
    }
