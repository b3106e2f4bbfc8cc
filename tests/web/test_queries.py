"""Documents: the state of the service, its proxies and devices, and queries of the history."""

import json
import os

import pytest
from support.made_status import MAC, NOW, device, proxy, reading, view

from proxy_listener import __version__
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.reading import Event, as_json, timestamp
from proxy_listener.model.status import Admissions, DialInStatus, KeyState, Newcomer, ProxyState
from proxy_listener.reads import Candidate
from proxy_listener.web import Actions

HOUR = 3600.0
DEVICE = "/devices/A4:C1:38:02:83:F4"


async def test_status_is_the_service_on_one_page(start):
    """Version, pid, uptime, storage, outcomes and the proxies, their keys the fields' names."""
    client = await start()
    async with client.get("/status") as response:
        document = await response.json()
    assert (document["version"], document["pid"]) == (__version__, os.getpid())
    assert document["uptime"] >= 0
    assert document["storage"]["ok"] is True
    assert document["outcomes"] == {"decoded": 10, "repeat": 20, "wrong_bindkey": 3}
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


@pytest.mark.parametrize("listed", [True, False])
async def test_a_device_without_its_key_says_what_it_lacks(start, journal, listed):
    """Why it gives nothing, how many frames are kept since when, where the key comes from and where it goes."""
    for number in range(3):
        journal.tables.seal(MAC, NOW - 100 + number, "hall", -60, 0, bytes([number]), 0xFE95)
    await journal.flush()
    house = view([device(key=KeyState.MISSING, values={}, listed=listed), device(mac=MAC + 1)])
    client = await start(view=house)
    async with client.get("/devices") as response:
        one, other = await response.json()
    assert one["cause"] == "sends encrypted frames and has no bindkey"
    assert one["kept"] == {"frames": 3, "since": timestamp(NOW - 100)}
    assert "Xiaomi account" in one["advice"]
    assert "devices.toml" in one["advice"]
    assert ("not yours" in one["advice"]) is not listed
    assert (other["cause"], other["advice"], other["kept"]) == ("", "", None)


async def test_a_device_is_admitted_by_post_only(start):
    """The answer is the device; 409 says why not, 405 that asking is not admitting, 501 that nothing admits."""
    admitted = []

    def admit(mac):
        if mac != MAC:
            raise ProxyListenerError("only listed devices")
        admitted.append(mac)

    client = await start(actions=Actions(admit=admit))
    async with client.get(f"{DEVICE}/admit") as response:
        assert (response.status, admitted) == (405, [])
    async with client.post(f"{DEVICE}/admit") as response:
        assert (response.status, (await response.json())["mac"], admitted) == (200, "A4:C1:38:02:83:F4", [MAC])
    async with client.post("/devices/000000000001/admit") as response:
        assert (response.status, (await response.json())["message"]) == (409, "only listed devices")


async def test_newcomers_and_the_state_of_admission_are_told(start):
    """Who waits, and whether any more can be admitted."""
    waiting = Newcomer(MAC, "LYWSD03MMC", True, "p0", "Hall", -70, 3, 60.0, 1.0, "for room")
    house = view(admissions=lambda: Admissions(1, 0, full=True))
    client = await start(view=house, actions=Actions(newcomers=lambda: [waiting]))
    async with client.get("/newcomers") as response:
        (one,) = await response.json()
    assert (one["mac"], one["model"], one["waits"]) == ("A4:C1:38:02:83:F4", "LYWSD03MMC", "for room")
    async with client.get("/status") as response:
        assert (await response.json())["admissions"] == {"newcomers": 1, "left": 0, "full": True}


async def test_status_has_the_port_that_nodes_call(start):
    """Why it is not open, and how many calls came to nothing."""
    client = await start(view=view(dial_in=lambda: DialInStatus("0.0.0.0:6054", "Address already in use", 7)))
    async with client.get("/status") as response:
        told = (await response.json())["dial_in"]
    assert told == {"listen": "0.0.0.0:6054", "error": "Address already in use", "refused": 7}


@pytest.mark.parametrize(("model", "why"), [("MCCGQ02HL", "not read over a connection"), ("", "not heard yet")])
async def test_only_what_is_read_over_a_connection_has_routes(start, model, why):
    """409, and why, for a door; also where a route would be found."""
    house = view([device(model=model)])
    client = await start(view=house, actions=Actions(route=lambda _mac: [1 / 0]))
    async with client.get(f"{DEVICE}/routes") as response:
        assert response.status == 409
        assert why in (await response.json())["message"]


async def test_an_unknown_device_is_404_and_a_bad_mac_400(start):
    """Errors are JSON."""
    client = await start()
    for path, status in (("/devices/000000000001", 404), ("/devices/zz", 400), ("/nothing", 404)):
        async with client.get(path) as response:
            assert response.status == status
            assert (await response.json())["error"] == status


async def test_an_unknown_mac_of_a_proxy_is_null(start):
    """So that a proxy that was never reached can be listed."""
    client = await start(view=view(proxies=[proxy(mac=None, rate=float("nan"))]))
    async with client.get("/proxies") as response:
        (one,) = await response.json()
    assert one["mac"] is None
    assert one["rate"] is None


async def test_routes_have_reasons(start):
    """The ranking is passed on unchanged."""
    candidate = Candidate(
        "kitchen-proxy", "Kitchen", True, False, True, 1, -61.0, -61.0, 3.0, 0, 2, 3, 0.0, "hears it best"
    )
    client = await start(view=view([device(readable=True)]), actions=Actions(route=lambda _mac: [candidate]))
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


@pytest.mark.parametrize(
    ("states", "code"),
    [(["taken"], 503), (["held", "unreachable"], 503), (["taken", "live"], 200), (["connecting"], 200), ([], 200)],
)
async def test_health_fails_without_a_stream(start, states, code):
    """503 while no proxy streams; at the start, and where none is configured, 200."""
    made = [proxy(name=state, state=ProxyState(state)) for state in states]
    client = await start(view=view(proxies=made))
    async with client.get("/healthz") as response:
        assert (response.status, (await response.json())["ok"]) == (code, code == 200)


async def test_health_names_a_history_that_was_harmed(start, journal):
    """It works again, so the answer is 200; the cause says what happened to the file."""
    journal._store.alarm = "history.db was deleted while the service ran"
    client = await start()
    async with client.get("/healthz") as response:
        health = await response.json()
    assert (response.status, health["cause"]) == (200, "history.db was deleted while the service ran")


async def test_an_internal_error_is_not_shown(start):
    """The answer does not have the text of the exception."""

    def broken(_mac):
        raise RuntimeError("canary-secret")

    client = await start(actions=Actions(route=broken), view=view(devices=[device(readable=True)]))
    async with client.get("/devices/A4:C1:38:02:83:F4/routes") as response:
        assert response.status == 500
        assert "canary" not in await response.text()


async def test_a_device_has_its_last_event(start, journal):
    """From the journal, so that a page that is opened later shows it; null if there was none."""
    client = await start(view=view(devices=[device(), device(mac=1)]))
    events = (Event("lock", "unlock", {"key_id": 3}), Event("button", "press"))
    journal.append(reading(events=events, time=1000.0))
    await journal.flush()
    async with client.get("/devices") as response:
        one, other = await response.json()
    assert one["event"].items() >= {"event": "button", "type": "press", "time": "1970-01-01T00:16:40.000Z"}.items()
    assert other["event"] is None


async def test_units_are_served(start):
    """The page has no table of its own."""
    client = await start(actions=Actions(units={"temperature": "°C"}))
    async with client.get("/quantities") as response:
        assert await response.json() == {"temperature": "°C"}


@pytest.fixture
async def day(journal):
    """A day of readings, one an hour, with two hours of silence, and one of another device."""
    made = [
        reading(
            time=NOW + k * HOUR,
            values={"temperature": 20 + k / 10, "opening": k % 2 == 0, "note": "text"},
            events=(Event("button", "press"),) if k % 6 == 0 else (),
        )
        for k in range(24)
        if k not in {10, 11}
    ]
    for each in made:
        journal.append(each)
    journal.append(reading(mac=MAC + 1, time=NOW))
    await journal.flush()
    return made


async def given(client, path, **query):
    async with client.get(path, params=query) as response:
        assert response.status == 200
        return await response.json()


async def test_readings_are_those_of_the_range(start, day):
    """From ``since`` on, before ``until``, in seconds or ISO 8601, oldest first, each as its line of JSON."""
    client = await start()
    everything = await given(client, f"{DEVICE}/readings")
    assert everything == [json.loads(as_json(each)) for each in day]
    part = await given(client, f"{DEVICE}/readings", since=NOW + HOUR, until=timestamp(NOW + 3 * HOUR))
    assert part == everything[1:3]


async def test_the_newest_are_given_where_there_are_more(start, day):
    """``limit`` keeps the end of the range."""
    client = await start()
    assert await given(client, f"{DEVICE}/readings", limit=2) == [json.loads(as_json(each)) for each in day[-2:]]


async def test_events_can_be_asked_for_alone(start, day):
    """Only readings in which something happened."""
    client = await start()
    found = await given(client, f"{DEVICE}/readings", events="true")
    assert len(found) == 4
    assert all(each["events"] for each in found)


async def test_a_curve_has_its_gap(start, day):
    """One bucket an hour: those that heard nothing are missing, the others hold least, mean and greatest."""
    client = await start()
    query = {"since": NOW, "until": NOW + 24 * HOUR, "points": 24, "quantity": "temperature"}
    document = await given(client, f"{DEVICE}/series", **query)
    curve = document["series"]["temperature"]
    assert document["width"] == HOUR
    assert [round((time - NOW - HOUR / 2) / HOUR) for time, *_ in curve] == [k for k in range(24) if k not in {10, 11}]
    assert curve[5][1:] == [20.5, 20.5, 20.5]


async def test_without_a_quantity_all_numbers_are_drawn(start, day):
    """Those that the device has now; unknown names give empty curves."""
    client = await start()
    document = await given(client, f"{DEVICE}/series", since=NOW, until=NOW + HOUR)
    assert set(document["series"]) == {"temperature", "battery"}
    document = await given(client, f"{DEVICE}/series", quantity="'; DROP TABLE reading --")
    assert document["series"] == {"'; DROP TABLE reading --": []}


async def test_an_export_is_complete(start, day):
    """One reading a line, of every device or of one, in order of time."""
    client = await start()
    async with client.get("/readings") as response:
        lines = [json.loads(line) async for line in response.content]
    assert len(lines) == len(day) + 1
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    async with client.get("/readings", params={"mac": "A4:C1:38:02:83:F5"}) as response:
        (line,) = [json.loads(line) async for line in response.content]
    assert line["mac"] == "A4:C1:38:02:83:F5"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/readings", {"since": "yesterday"}),
        ("/readings", {"until": "nan"}),
        ("/readings", {"since": "-1"}),
        ("/readings", {"since": "1e300"}),
        ("/readings", {"since": "9999-12-31T23:59:59"}),
        ("/readings", {"limit": "0"}),
        ("/readings", {"limit": "1000000"}),
        ("/readings", {"limit": "²"}),
        ("/readings", {"limit": "9" * 5000}),
        ("/series", {"points": "100000"}),
        ("/series", {"since": "200", "until": "100"}),
    ],
)
async def test_an_invalid_query_is_400(start, path, query):
    """The message says what was expected."""
    client = await start()
    async with client.get(DEVICE + path, params=query) as response:
        assert response.status == 400
        assert (await response.json())["message"]


async def test_what_is_not_configured_says_what_to_add(start):
    """Metrics need their table; a reload is for the control socket."""
    client = await start(actions=Actions())
    async with client.get("/metrics") as response:
        assert (response.status, "[sink.prometheus]" in (await response.json())["message"]) == (501, True)
    async with client.post("/reload") as response:
        assert (response.status, "control socket" in (await response.json())["message"]) == (501, True)
