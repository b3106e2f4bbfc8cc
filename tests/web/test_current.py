"""What the API says about now."""

import os

from support.made_house import device, proxy, reading, view

from proxy_listener import __version__
from proxy_listener.model.reading import Event
from proxy_listener.reads.ranking import Candidate
from proxy_listener.web import Actions


async def test_status_is_the_service_on_one_page(start):
    """Version, pid, uptime, storage, outcomes and the proxies, their keys the fields' names."""
    client = await start()
    async with client.get("/status") as response:
        document = await response.json()
    assert (document["version"], document["pid"]) == (__version__, os.getpid())
    assert document["uptime"] >= 0
    assert document["storage"]["ok"] is True
    assert document["outcomes"] == {"decoded": 10, "repeat": 20}
    (one,) = document["proxies"]
    assert (one["name"], one["mac"], one["state"], one["slots_free"]) == (
        "kitchen-proxy",
        "A0:B1:C2:D3:E4:F5",
        "live",
        3,
    )


async def test_a_device_has_its_values_with_their_times(start):
    """Each value comes with when it was measured; MACs, address types and states are words."""
    client = await start()
    async with client.get("/devices/a4c1380283f4") as response:
        document = await response.json()
    assert document["mac"] == "A4:C1:38:02:83:F4"
    assert document["key"] == "verified"
    assert document["values"]["temperature"]["value"] == 21.3
    assert document["values"]["temperature"]["time"].endswith("Z")
    (heard,) = document["heard"]
    assert heard["address_type"] == "public"
    async with client.get("/devices") as response:
        (listed,) = await response.json()
    assert listed.keys() == document.keys()


async def test_an_unknown_device_is_404_and_a_bad_mac_400(start):
    """Errors are JSON."""
    client = await start()
    for path, status in (("/devices/000000000001", 404), ("/devices/zz", 400), ("/nothing", 404)):
        async with client.get(path) as response:
            assert response.status == status
            assert (await response.json())["error"] == status


async def test_an_unknown_mac_of_a_proxy_is_null(start):
    """A proxy of which nothing is known yet can be shown."""
    client = await start(house=view(proxies=[proxy(mac=None, rate=float("nan"))]))
    async with client.get("/proxies") as response:
        (one,) = await response.json()
    assert one["mac"] is None
    assert one["rate"] is None


async def test_routes_come_with_reasons(start):
    """What the routing says is handed on as it is."""
    candidate = Candidate(
        "kitchen-proxy", "Kitchen", True, False, True, 1, -61.0, -61.0, 3.0, 0, 2, 3, 0.0, "hears it best"
    )
    client = await start(actions=Actions(route=lambda _mac: [candidate]))
    async with client.get("/devices/A4:C1:38:02:83:F4/routes") as response:
        (one,) = await response.json()
    assert (one["proxy"], one["chosen"], one["reason"]) == ("kitchen-proxy", True, "hears it best")


async def test_health_fails_with_the_storage(start, journal):
    """503 while nothing can be committed, 200 again afterwards."""
    client = await start()
    async with client.get("/healthz") as response:
        assert (response.status, (await response.json())["ok"]) == (200, True)
    journal._store.connection.execute("PRAGMA query_only = on")
    journal.append(reading())
    assert not await journal.flush()
    async with client.get("/healthz") as response:
        assert (response.status, (await response.json())["ok"]) == (503, False)
    journal._store.connection.execute("PRAGMA query_only = off")
    assert await journal.flush()
    async with client.get("/healthz") as response:
        assert response.status == 200


async def test_what_goes_wrong_inside_stays_inside(start):
    """An error of ours is answered without its text."""

    def broken(_mac):
        raise RuntimeError("canary-secret")

    client = await start(actions=Actions(route=broken), house=view(devices=[device()]))
    async with client.get("/devices/A4:C1:38:02:83:F4/routes") as response:
        assert response.status == 500
        assert "canary" not in await response.text()


async def test_a_device_says_what_happened_last(start, journal):
    """Its last event, from the journal, so that a page that is opened later shows it; none where there was none."""
    client = await start(house=view(devices=[device(), device(mac=1)]))
    events = (Event("lock", "unlock", {"key_id": 3}), Event("button", "press"))
    journal.append(reading(events=events, time=1000.0))
    await journal.flush()
    async with client.get("/devices") as response:
        one, other = await response.json()
    assert one["event"].items() >= {"event": "button", "type": "press", "time": "1970-01-01T00:16:40.000Z"}.items()
    assert other["event"] is None


async def test_units_come_from_outside(start):
    """The page keeps no table of them."""
    client = await start(actions=Actions(units={"temperature": "°C"}))
    async with client.get("/quantities") as response:
        assert await response.json() == {"temperature": "°C"}
