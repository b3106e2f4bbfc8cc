"""What the API tells of the journal."""

import json

import pytest
from support.made_house import MAC, NOW, reading

from proxy_listener.model.reading import Event, as_json, timestamp

HOUR = 3600.0
DEVICE = "/devices/A4:C1:38:02:83:F4"


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


async def test_an_export_is_all_of_it(start, day):
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
async def test_a_question_that_makes_no_sense_is_400(start, path, query):
    """Each is told what was expected."""
    client = await start()
    async with client.get(DEVICE + path, params=query) as response:
        assert response.status == 400
        assert (await response.json())["message"]
