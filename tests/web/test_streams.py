"""Streams: live readings, captures, reads with their progress."""

import asyncio
import json

import aiohttp
import attrs
import pytest
from support.made_status import NOW, reading

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.reading import as_json
from proxy_listener.reads import Attempt, Progress, ReadOptions, ReadReport
from proxy_listener.web import Actions
from proxy_listener.web.context import Places
from proxy_listener.web.streams import STEPS_LIMIT

READ = "/devices/A4:C1:38:02:83:F4/read"


async def event(response):
    """The next event of a stream, as a dict of its fields."""
    fields = {}
    while line := (await response.content.readline()).decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        fields[name] = value
    return fields


async def test_a_reading_is_sent_once_committed(start, journal):
    """The event is the reading's JSON, and its id the row's."""
    client = await start()
    async with client.get("/events") as response:
        assert response.content_type == "text/event-stream"
        assert (await event(response)) == {"retry": "3000"}
        sent = reading()
        journal.append(sent)
        found = await event(response)
        (row,) = await journal.reader.readings(sent.mac)
        assert found == {"event": "reading", "id": str(row.id), "data": as_json(sent)}


async def test_what_a_slow_client_missed_is_counted(start, journal):
    """A client that does not read loses the oldest readings; gaps and readings together are all that were sent."""
    sent = 6_000
    client = await start()
    async with client.get("/events") as response:
        await event(response)
        response.connection.transport.pause_reading()
        for k in range(sent):
            journal.append(reading(time=NOW + k))
            if k % 200 == 199:
                await journal.flush()
        response.connection.transport.resume_reading()
        received = lost = 0
        while received + lost < sent:
            found = await event(response)
            received += found["event"] == "reading"
            lost += json.loads(found["data"])["lost"] if found["event"] == "gap" else 0
    assert received + lost == sent
    assert lost > 0


async def test_a_client_that_takes_nothing_is_closed(start, journal):
    """Its place is free again."""
    streams = Places(1)
    client = await start(streams=streams, stuck=0.05)
    async with client.get("/events") as response:
        await event(response)
        assert streams.taken == 1
        response.connection.transport.pause_reading()
        while streams.taken:
            for k in range(200):
                journal.append(reading(time=NOW + k))
            await journal.flush()
        response.connection.transport.resume_reading()
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_streams_have_a_limit_and_a_place_is_given_back(start):
    """One client more is answered 503; a client that leaves gives its place back."""
    streams = Places(2)
    client = await start(streams=streams)
    async with client.get("/events") as first, client.get("/events"):
        await event(first)
        async with client.get("/events") as third:
            assert third.status == 503
            assert "2 places" in (await third.json())["message"]
    status = 503
    while status == 503:
        async with client.get("/events") as again:
            status = again.status
    assert status == 200


async def test_a_capture_is_sent_line_by_line(start):
    """A client that disconnects ends the capture."""
    ended = asyncio.Event()

    async def stream():
        try:
            for k in range(3):
                yield f'{{"rssi":{-k}}}'
            await asyncio.Event().wait()
        finally:
            ended.set()

    client = await start(actions=Actions(stream=stream))
    async with client.get("/capture") as response:
        lines = [await response.content.readline() for _ in range(3)]
    assert [json.loads(line)["rssi"] for line in lines] == [0, -1, -2]
    await ended.wait()


async def test_a_read_sends_its_steps_and_its_report(start):
    """Progress lines in order, then the report."""

    async def read(mac, options, add):
        assert (mac, options) == (0xA4C1380283F4, ReadOptions(history=True))
        add(Progress("connecting", "kitchen-proxy"))
        await asyncio.sleep(0)
        add(Progress("log", "kitchen-proxy", 3, 10))
        return ReadReport(True, "done", [Attempt("kitchen-proxy", True, "", "answered", 1.5)], {"battery": 99})

    client = await start(actions=Actions(read=read))
    async with client.post(READ, json={"history": True}) as response:
        assert response.content_type == "application/x-ndjson"
        lines = [json.loads(line) async for line in response.content]
    assert lines[0] == {"progress": {"step": "connecting", "proxy": "kitchen-proxy", "done": 0, "total": 0}}
    assert lines[1]["progress"]["total"] == 10
    assert lines[2]["result"]["values"] == {"battery": 99}
    assert lines[2]["result"]["attempts"][0]["detail"] == "answered"
    assert len(lines) == 3


async def test_a_slow_client_misses_the_oldest_steps(start):
    """The steps that wait are bounded, the newest and the report arrive."""

    async def read(_mac, _options, add):
        for k in range(1_000):
            add(Progress("log", "kitchen-proxy", k, 1_000))
        return ReadReport(True, "done")

    client = await start(actions=Actions(read=read))
    async with client.post(READ) as response:
        lines = [json.loads(line) async for line in response.content]
    assert [line["progress"]["done"] for line in lines[:-1]] == list(range(1_000 - STEPS_LIMIT, 1_000))
    assert lines[-1]["result"]["ok"] is True


async def test_a_read_that_fails_inside_ends_the_stream(start):
    """The headers are sent, so the status cannot change: the connection is cut, and nothing of the error is sent."""

    async def read(_mac, _options, _add):
        raise RuntimeError("canary-secret")

    client = await start(actions=Actions(read=read))
    async with client.post(READ) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError) as caught:
            await response.read()
    assert "canary" not in str(caught.value)


async def test_an_error_of_a_read_is_a_result(start):
    """The report has the text of an error that is meant for users."""

    async def read(_mac, _options, _add):
        raise ProxyListenerError("the budget of 24 connections a day is used up")

    client = await start(actions=Actions(read=read))
    async with client.post(READ) as response:
        (line,) = [json.loads(line) async for line in response.content]
    assert line["result"]["ok"] is False
    assert "budget" in line["result"]["detail"]


async def test_a_client_that_leaves_ends_the_read(start):
    """The read is cancelled."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def read(_mac, _options, _add):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    client = await start(actions=Actions(read=read))
    async with client.post(READ):
        await begun.wait()
    await ended.wait()


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ({}, ReadOptions()),
        ({"history": False}, ReadOptions()),
        ({"set_clock": True}, ReadOptions(set_clock=True)),
        ({"history": True, "set_clock": True}, ReadOptions(history=True, set_clock=True)),
    ],
)
async def test_the_body_says_what_is_read_and_set(start, body, options):
    """A flag that is missing is false: nothing is written to a device that was not asked for."""
    asked = []

    async def read(_mac, options, _add):
        asked.append(options)
        return ReadReport(True, "done")

    client = await start(actions=Actions(read=read))
    async with client.post(READ, json=body) as response:
        await response.read()
    assert asked == [options]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("nonsense", "application/json", 400),
        ("[]", "application/json", 400),
        ('{"history": 1}', "application/json", 400),
        ('{"history": true, "more": 1}', "application/json", 400),
        ('{"history": true, "more": true}', "application/json", 400),
        ('{"set_clock": null}', "application/json", 400),
        ("[" * 10_000, "application/json", 400),
        ("\ud800".encode("utf-8", "surrogatepass"), "application/json", 400),
        ("history=true", "application/x-www-form-urlencoded", 415),
        ('{"history": true}', "text/plain", 415),
        (" " * 20_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_not_the_request_is_refused(start, body, kind, status):
    """The device is not read."""
    asked = []

    async def read(*given):
        asked.append(given)

    client = await start(actions=Actions(read=read))
    async with client.post(READ, data=body, headers={"Content-Type": kind}) as response:
        assert response.status == status
        assert (await response.json())["error"] == status
    assert asked == []


async def test_a_missing_action_is_501(start):
    """Every route whose action is missing."""
    client = await start()
    for method, path in (("POST", READ), ("GET", "/capture"), ("GET", "/metrics"), ("GET", "/coverage")):
        async with client.request(method, path) as response:
            assert response.status == 501


async def test_coverage_and_metrics_are_passed_on(start):
    """MACs become text, as fields, in lists and as keys; metrics keep their type."""

    @attrs.frozen
    class Coverage:
        hours: float
        unheard: tuple[int, ...]
        lost_without: dict[int, float]

    async def coverage():
        return Coverage(24.0, (0xA4C1380283F4,), {1: 0.5})

    def metrics():
        return "text/plain; version=1.0.0; charset=utf-8", b"up 1\n"

    client = await start(actions=Actions(coverage=coverage, metrics=metrics))
    async with client.get("/coverage") as response:
        assert await response.json() == {
            "hours": 24.0,
            "unheard": ["A4:C1:38:02:83:F4"],
            "lost_without": {"00:00:00:00:00:01": 0.5},
        }
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=1.0.0")
        assert await response.read() == b"up 1\n"
