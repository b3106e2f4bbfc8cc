"""The coverage report: its values, and its JSON from the control socket of a running service."""

import asyncio
import time

import aiohttp
import attrs
import pytest

from proxy_listener.config import Config
from proxy_listener.engine.coverage import Coverage, DeviceCoverage, ProxyCoverage, coverage, hours_listened
from proxy_listener.model.advertisement import PUBLIC, mac_text
from proxy_listener.model.history import Reception
from proxy_listener.model.settings import DeviceSettings, DiscoverySettings, ProxySettings
from proxy_listener.service import service
from proxy_listener.simulator import frames
from proxy_listener.state import CONTROL_SOCKET

CLIMATE, DOOR, PLANT = 0xA4C1380283F4, 0xE4AAEC755F23, 0xC47C8D6DA435
NAMES = {CLIMATE: "Climate", DOOR: "Door", PLANT: "Plant"}
ROOMS = {"kitchen": "Kitchen", "hall": "Hall", "attic": "Attic", "cellar": "Cellar"}


def report(record, names=NAMES, rooms=ROOMS, hours=168.0):
    return coverage(record, rooms, names, names, hours)


def device(made, mac):
    return next(device for device in made.devices if device.mac == mac)


def proxy(made, name):
    return next(proxy for proxy in made.proxies if proxy.proxy == name)


def test_the_whole_report():
    """Two devices, three proxies that hear and one that does not: every number."""
    made = report(
        [
            Reception("kitchen", CLIMATE, 1, 90, 40, 100),
            Reception("hall", CLIMATE, 1, 60, 10, 100),
            Reception("attic", CLIMATE, 1, 20, 0, 100),
            Reception("hall", DOOR, 1, 800, 800, 800),
        ]
    )
    assert made == Coverage(
        168.0,
        900,
        True,
        [
            DeviceCoverage(CLIMATE, "Climate", 100, {"attic": 0.2, "hall": 0.6, "kitchen": 0.9}, None, judged=True),
            DeviceCoverage(DOOR, "Door", 800, {"hall": 1.0}, "hall", judged=True),
            DeviceCoverage(PLANT, "Plant", 0, {}, None, judged=False),
        ],
        [
            ProxyCoverage("attic", "Attic", 20, 0, 1, {}, adds_nothing=True, hears_nothing=False),
            ProxyCoverage("cellar", "Cellar", 0, 0, 0, {}, adds_nothing=False, hears_nothing=True),
            ProxyCoverage(
                "hall", "Hall", 860, 810, 2, {CLIMATE: 0.1, DOOR: 1.0}, adds_nothing=False, hears_nothing=False
            ),
            ProxyCoverage("kitchen", "Kitchen", 90, 40, 1, {CLIMATE: 0.4}, adds_nothing=False, hears_nothing=False),
        ],
        [PLANT],
    )


def test_the_frames_of_all_hours_are_summed():
    """Two rooms that each hear a device alone, in different hours, have half of its frames each."""
    made = report([Reception("kitchen", DOOR, 1, 60, 60, 60), Reception("hall", DOOR, 2, 60, 60, 60)])
    door = DeviceCoverage(DOOR, "Door", 120, {"hall": 0.5, "kitchen": 0.5}, None, judged=True)
    assert device(made, DOOR) == door
    assert proxy(made, "hall").lost_without == {DOOR: 0.5}


def test_shares_are_of_the_most_frames_counted_in_the_hour():
    """A proxy that was added in the middle of an hour has a share of the whole hour's frames."""
    made = report([Reception("kitchen", DOOR, 1, 10, 5, 10), Reception("hall", DOOR, 1, 5, 0, 6)])
    assert device(made, DOOR).frames == 10
    assert device(made, DOOR).shares == {"hall": 0.5, "kitchen": 1.0}


def test_a_proxy_adds_something_from_one_percent_of_a_device():
    """A proxy that alone hears 0.9 % of a device adds nothing; one that alone hears 1 % adds something."""
    nothing = report([Reception("kitchen", CLIMATE, 1, 1000, 991, 1000), Reception("hall", CLIMATE, 1, 9, 9, 1000)])
    something = report([Reception("kitchen", CLIMATE, 1, 990, 990, 1000), Reception("hall", CLIMATE, 1, 10, 10, 1000)])
    assert (proxy(nothing, "hall").adds_nothing, proxy(something, "hall").adds_nothing) == (True, False)


def test_a_row_with_zero_frames_is_not_counted_as_heard():
    """The history also has rows for proxies that missed every frame of a device."""
    made = report([Reception("kitchen", DOOR, 1, 300, 300, 300), Reception("hall", DOOR, 1, 0, 0, 300)])
    assert device(made, DOOR) == DeviceCoverage(DOOR, "Door", 300, {"kitchen": 1.0}, "kitchen", judged=True)
    assert proxy(made, "hall").hears_nothing


def test_without_records_all_devices_are_unheard():
    """Every proxy hears nothing, and every device is listed as unheard."""
    made = report([])
    assert [one.frames for one in made.devices] == [0, 0, 0]
    assert [one.hears_nothing for one in made.proxies] == [True] * 4
    assert made.unheard == [CLIMATE, DOOR, PLANT]


def test_nothing_is_judged_before_a_day_of_listening():
    """Counts are there; no proxy adds or hears nothing, no device hangs on one proxy or is unheard."""
    record = [
        Reception("kitchen", CLIMATE, 1, 5000, 0, 5000),
        Reception("hall", CLIMATE, 1, 5000, 0, 5000),
        Reception("hall", DOOR, 1, 5000, 5000, 5000),
    ]
    early, later = report(record, hours=23.9), report(record, hours=24.0)
    assert (early.judged, early.frames, early.unheard) == (False, 10_000, [])
    assert not any(one.adds_nothing or one.hears_nothing for one in early.proxies)
    assert not any(one.judged or one.only for one in early.devices)
    assert (later.judged, later.unheard) == (True, [PLANT])
    assert proxy(later, "kitchen").adds_nothing
    assert proxy(later, "cellar").hears_nothing
    assert device(later, DOOR).only == "hall"


def test_a_device_of_fewer_than_a_hundred_frames_is_not_judged():
    """It hangs on no proxy; and a proxy that alone heard one of its frames does not add nothing."""
    few = [Reception("kitchen", CLIMATE, 1, 900, 0, 900), Reception("hall", CLIMATE, 1, 900, 0, 900)]
    made = report([*few, Reception("hall", DOOR, 1, 99, 1, 99), Reception("kitchen", DOOR, 1, 98, 0, 99)])
    assert (device(made, DOOR).judged, device(made, CLIMATE).judged) == (False, True)
    assert (proxy(made, "kitchen").adds_nothing, proxy(made, "hall").adds_nothing) == (True, False)
    alone = report([Reception("hall", DOOR, 1, 99, 99, 99)])
    assert (device(alone, DOOR).only, proxy(alone, "hall").adds_nothing) == (None, False)


def test_devices_that_are_gone_are_not_counted():
    """The report has the devices that the page shows, and no other."""
    made = report([Reception("hall", CLIMATE + 1, 1, 500, 500, 500), Reception("hall", DOOR, 1, 500, 0, 500)])
    assert [one.mac for one in made.devices] == [CLIMATE, DOOR, PLANT]
    assert (made.frames, proxy(made, "hall").frames, proxy(made, "hall").devices) == (500, 500, 1)


@pytest.mark.parametrize(
    ("hours", "started", "listened"),
    [
        pytest.param([], 0.0, 0.0, id="nothing"),
        pytest.param([100], 100 * 3600 + 1792.0, 8 / 3600, id="eight seconds after the first start"),
        pytest.param([100], 0.0, 0.5, id="started in an earlier hour"),
        pytest.param([40, 41, 99, 100], 0.0, 3.5, id="it did not run in between"),
        pytest.param([99], 0.0, 1.0, id="nothing in this hour yet"),
    ],
)
def test_the_hours_of_listening_are_those_that_have_frames(hours, started, listened):
    """It is half past the hour 100."""
    record = [Reception(proxy, DOOR, hour, 1, 1, 1) for hour in hours for proxy in ("hall", "kitchen")]
    assert hours_listened(record, 100 * 3600 + 1800.0, started) == pytest.approx(listened)


@pytest.mark.mdns("listed")
async def test_the_running_service_reports_its_coverage(tmp_path):
    """The kitchen hears frames 1 to 10, the hall 1, 2, 11 and 12, the cellar none: the document has these counts and
    shares, summed over two records. After a moment nothing is judged. It has every device of the service.
    """
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
            while not (tmp_path / CONTROL_SOCKET).exists():  # noqa: ASYNC110  no event is set when a file appears
                await asyncio.sleep(0)  # let the service's task run
        connector = aiohttp.UnixConnector(path=str(tmp_path / CONTROL_SOCKET))
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.get("http://localhost/coverage") as answer,
        ):
            assert answer.status == 200
            document = await answer.json()
    door = mac_text(DOOR)
    assert (document["judged"], document["frames"], document["hours"] < 0.1) == (False, 12, True)
    first, second = document["devices"]
    assert (second["mac"], second["frames"]) == (mac_text(PLANT), 0)
    assert first == {
        "mac": door,
        "name": "Door",
        "frames": 12,
        "shares": {"hall": 0.333, "kitchen": 0.833},
        "only": None,
        "judged": False,
    }
    assert document["unheard"] == []
    proxies = {one.pop("proxy"): one for one in document["proxies"]}
    assert proxies == {
        "cellar": row("Cellar", 0, 0, 0, {}),
        "hall": row("Hall", 4, 2, 1, {door: 0.167}),
        "kitchen": row("Kitchen", 10, 8, 1, {door: 0.667}),
    }


def say(running, room, number, heard):
    payload = frames.frame(0x0098, number + 1, frames.obj(0x1004, (200 + number).to_bytes(2, "little")), mac=DOOR)
    data = frames.advertisement(payload)
    running.pipeline.hear(room, DOOR, PUBLIC, -60, data, time.time(), heard)


def row(room, heard, alone, devices, lost):
    return {
        "room": room,
        "frames": heard,
        "alone": alone,
        "devices": devices,
        "lost_without": lost,
        "adds_nothing": False,
        "hears_nothing": False,
    }
