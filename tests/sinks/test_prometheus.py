"""What a scrape gets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.made_status import MAC, NOW, device, proxy, view

from proxy_listener.history import Journal
from proxy_listener.model.quantities import QUANTITIES
from proxy_listener.model.secret import Secret
from proxy_listener.model.status import ProxyState, View
from proxy_listener.sinks.prometheus import SERIES, Metrics, Settings, in_base_unit, run


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    journal = Journal(None)
    yield journal
    await journal.close()


def scrape(house: View, journal: Journal, settings: Settings | None = None) -> dict[tuple[str, tuple[str, ...]], float]:
    """Sample name and label values -> value. Parsed, so that what does not parse fails."""
    content_type, body = Metrics(house, journal, settings).exposition()
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    samples = [
        (sample.name, tuple(sample.labels.values()), sample.value)
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    ]
    found = {(name, labels): value for name, labels, value in samples}
    assert len(found) == len(samples), "a series is there twice"
    return found


NAMED = ("A4:C1:38:02:83:F4", "Bedroom climate")


async def test_values_are_in_base_units(journal: Journal) -> None:
    """Percent is a ratio, µS/cm is S/m, a flag is 0 or 1, a text is absent."""
    values = {
        "temperature": (21.3, NOW),
        "humidity": (46.7, NOW),
        "conductivity": (1234, NOW),
        "motion_time": (2, NOW),
        "door": (True, NOW),
        "weighing": ("2026-11-22T18:04:05Z", NOW),
    }
    found = scrape(view([device(values=values)]), journal)
    assert found["xiaomi_ble_temperature_celsius", NAMED] == 21.3
    assert found["xiaomi_ble_humidity_ratio", NAMED] == 0.467
    assert found["xiaomi_ble_conductivity_siemens_per_meter", NAMED] == 0.1234
    assert found["xiaomi_ble_motion_time_seconds", NAMED] == 120
    assert found["xiaomi_ble_door", NAMED] == 1
    assert not [name for name, _ in found if "weighing" in name]


async def test_a_leak_flag_and_soil_moisture_are_two_metrics(journal: Journal) -> None:
    plants = device(mac=MAC + 1, name="Fern", values={"moisture": (31, NOW)})
    found = scrape(view([device(values={"moisture": (True, NOW)}), plants]), journal)
    assert found["xiaomi_ble_moisture", NAMED] == 1
    assert found["xiaomi_ble_moisture_ratio", ("A4:C1:38:02:83:F5", "Fern")] == 0.31


@pytest.mark.parametrize("quantity", [name for name, row in QUANTITIES.items() if row.unit.symbol])
def test_every_unit_has_a_base_unit(quantity: str) -> None:
    """A quantity with a unit carries its base unit in its metric's name."""
    assert in_base_unit(quantity, 1)[0] == f"{quantity}_{QUANTITIES[quantity].unit.base}"
    assert in_base_unit(quantity, True) == (quantity, 1.0)


async def test_a_stale_device_vanishes(journal: Journal) -> None:
    """Of a device that is not heard any more, only its availability, readings and last time remain."""
    found = scrape(view([device(available=False)]), journal)
    own = {name for name, labels in found if NAMED[0] in labels}
    assert own == {"xiaomi_ble_available", "xiaomi_ble_readings_total", "xiaomi_ble_last_heard_timestamp_seconds"}
    assert found["xiaomi_ble_available", NAMED] == 0


async def test_the_room_is_on_the_info_series_only(journal: Journal) -> None:
    """A device that moves does not start new series of its values."""
    before = scrape(view([device(room="Bedroom")]), journal)
    after = scrape(view([device(room="Attic")]), journal)
    changed = {name for name, _ in before.keys() ^ after.keys()}
    assert changed == {"xiaomi_ble_device_info"}


async def test_the_house_is_there(journal: Journal) -> None:
    """Proxies, outcomes, failures of decryption, reads, sinks, storage."""
    house = view(behind=lambda: {"mqtt": 7}, reads=lambda: {"ok": 3, "no_slot": 1})
    found = scrape(house, journal)
    kitchen = ("kitchen-proxy",)
    assert found["proxy_listener_proxy_up", kitchen] == 1
    assert found["proxy_listener_proxy_advertisements_total", kitchen] == 12_345
    assert found["proxy_listener_proxy_slots_free", kitchen] == 3
    assert ("proxy_listener_proxy_last_advertisement_timestamp_seconds", kitchen) in found
    assert found["proxy_listener_advertisements_total", ("decoded",)] == 10
    assert found["proxy_listener_frames_repeated_total", ()] == 20
    assert found["proxy_listener_decrypt_failures_total", ("wrong_bindkey",)] == 3
    assert found["proxy_listener_reads_total", ("no_slot",)] == 1
    assert found["proxy_listener_sink_queue_length", ("mqtt",)] == 7
    assert found["proxy_listener_storage_up", ()] == 1
    assert found["proxy_listener_series_left_out", ()] == 0


async def test_what_is_not_known_is_absent(journal: Journal) -> None:
    """A proxy that never connected has no slots and no last advertisement."""
    silent = proxy(state=ProxyState.UNREACHABLE, heard_age=None, uptime=None, slots_free=None, slots_limit=None)
    found = scrape(view(proxies=[silent]), journal)
    assert found["proxy_listener_proxy_up", ("kitchen-proxy",)] == 0
    assert not [name for name, _ in found if "slots" in name or "last_advertisement" in name]


async def test_nodes_that_are_not_accepted_have_no_series(journal: Journal) -> None:
    stranger = proxy(name="rogue", state=ProxyState.NOT_ACCEPTED)
    assert not [labels for _, labels in scrape(view(proxies=[stranger]), journal) if "rogue" in labels]


async def test_series_are_bounded_and_listed_devices_come_first(journal: Journal) -> None:
    """With too many admitted devices some of theirs are left out and counted, and none of listed devices or proxies."""
    flood = [device(mac=MAC + n, name=f"stranger {n}", listed=False) for n in range(1, 1500)]
    found = scrape(view([*flood, device()]), journal)
    assert found["xiaomi_ble_temperature_celsius", NAMED] == 21.3
    ours = [name for name, _ in found if not name.startswith(("process_", "proxy_listener_series"))]
    devices = [name for name in ours if name.startswith("xiaomi_")]
    assert len(ours) == SERIES
    each = 6
    assert found["proxy_listener_series_left_out", ()] == 1500 * each - len(devices)


async def test_hostile_names_stay_inside_their_label(journal: Journal) -> None:
    name = 'x"} 1\nevil_metric{a="\\'
    found = scrape(view([device(name=name)]), journal)
    assert found["xiaomi_ble_temperature_celsius", (NAMED[0], name)] == 21.3
    assert not [name for name, _ in found if name.startswith("evil")]


async def test_rssi_by_proxy_is_optional(journal: Journal) -> None:
    """Devices times proxies are many series, so they are only there where the configuration wants them."""
    assert not [name for name, _ in scrape(view(), journal) if name == "xiaomi_ble_rssi_dbm"]
    found = scrape(view(), journal, Settings(rssi=True))
    assert found["xiaomi_ble_rssi_dbm", (NAMED[0], "kitchen-proxy")] == -61.4


@pytest.mark.parametrize("listen", ["9750", "host:99999", "http://x:1", "127.0.0.1:"])
def test_a_listen_that_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Settings(listen=listen)


def test_a_port_open_to_the_network_needs_a_token() -> None:
    with pytest.raises(ValueError, match="token"):
        Settings(listen="0.0.0.0:9750")
    assert Settings(listen="0.0.0.0:9750", token=Secret("a-token-of-22-letters.")).token


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _get(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url, headers=headers) as response:
                    return response.status, await response.text()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def served(settings: Settings, journal: Journal) -> AsyncIterator[None]:
    task = asyncio.create_task(run(settings, journal, view()))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_metrics_at_a_port_of_their_own(journal: Journal) -> None:
    """They are served there, but not to a page that reaches this machine under another name (DNS rebinding)."""
    port = _free_port()
    async with served(Settings(listen=f"127.0.0.1:{port}"), journal):
        status, text = await _get(f"http://127.0.0.1:{port}/metrics")
        assert (status, "xiaomi_ble_temperature_celsius{" in text) == (200, True)
        for host in ("rebound.example", "localhost:rebound.example", "[::1]rebound.example"):
            assert (await _get(f"http://127.0.0.1:{port}/metrics", Host=host))[0] == 421


async def test_a_token_is_required_where_one_is_set(journal: Journal) -> None:
    port = _free_port()
    async with served(Settings(listen=f"127.0.0.1:{port}", token=Secret("canary")), journal):
        url = f"http://127.0.0.1:{port}/metrics"
        assert (await _get(url))[0] == 401
        assert (await _get(url, Authorization="Bearer wrong"))[0] == 401
        assert (await _get(url, Authorization="Bearer canary"))[0] == 200
        answers = [(await _get(url, Authorization=f"Bearer guess-{number}"))[0] for number in range(12)]
        assert answers == [401] * 9 + [429] * 3
        assert (await _get(url, Authorization="Bearer canary"))[0] == 429
