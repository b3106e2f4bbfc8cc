"""The description of the API, held against what is served."""

import json
import re

import pytest
from support.made_status import MAC, NOW, device, proxy, reading, view

from proxy_listener.engine.coverage import Coverage, DeviceCoverage, ProxyCoverage
from proxy_listener.gatt.interface import ClockSet
from proxy_listener.model.reading import Event, as_json
from proxy_listener.model.secret import Secret
from proxy_listener.model.status import Newcomer
from proxy_listener.reads import Attempt, Candidate, LogReport, Progress, ReadReport
from proxy_listener.web import Actions
from proxy_listener.web.documents import plain
from proxy_listener.web.openapi import description
from proxy_listener.web.routes import ROUTES

API = description(ROUTES)
SCHEMAS = API["components"]["schemas"]

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}

CANDIDATE = Candidate("p", "r", True, False, True, 1, -61.0, None, 3.0, 0, 2, None, 0.0, "hears it best")
LOG = LogReport(count=3, stored=2, known=1, skipped=0, complete=True)
REPORT = ReadReport(
    True, "done", [Attempt("p", True, "", "ok", 1.0)], {"battery": 99}, [], "3.2", LOG, ClockSet(83, 0), [CANDIDATE]
)


def is_a(value, name):
    if name == "null":
        return value is None
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def wrong(value, schema, where="document"):
    """What of a document is not as its schema says. Fields that the schema does not name are wrong as well."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].removeprefix("#/components/schemas/")]
    if "oneOf" in schema:
        return [] if any(not wrong(value, one) for one in schema["oneOf"]) else [where]
    if "enum" in schema:
        return [] if value in schema["enum"] else [where]
    names = schema.get("type", [])
    if names and not any(is_a(value, name) for name in ([names] if isinstance(names, str) else names)):
        return [where]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return [where]
    found = []
    if isinstance(value, list):
        parts = [(one, schema.get("items", {}), f"{where}[]") for one in value]
    elif isinstance(value, dict) and "properties" in schema:
        found = [f"{where}: {name}" for name in value.keys() ^ schema["properties"].keys()]
        parts = [(value[name], one, f"{where}.{name}") for name, one in schema["properties"].items() if name in value]
    elif isinstance(value, dict):
        parts = [(one, schema.get("additionalProperties", {}), f"{where}.*") for one in value.values()]
    else:
        parts = []
    return found + [each for part in parts for each in wrong(*part)]


def schema_of(path):
    (content,) = API["paths"][path]["get"]["responses"]["200"]["content"].values()
    return content["schema"]


def test_every_route_is_described_and_nothing_else():
    """The page's own routes are not part of the API."""
    described = {(method.upper(), path) for path, methods in API["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES if route.summary}
    assert ("POST", "/devices/{mac}/read") in described
    assert ("GET", "/login") not in described


def test_every_reference_leads_somewhere():
    """And every schema is referred to."""
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(API)))
    assert named == set(SCHEMAS)


@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("/status", "/status"),
        ("/proxies", "/proxies"),
        ("/devices", "/devices"),
        ("/devices/{mac}", "/devices/A4C1380283F4"),
        ("/devices/{mac}/readings", "/devices/A4C1380283F4/readings"),
        ("/devices/{mac}/series", f"/devices/A4C1380283F4/series?until={NOW + 1}"),
        ("/devices/{mac}/routes", "/devices/A4C1380283F4/routes"),
        ("/newcomers", "/newcomers"),
        ("/coverage", "/coverage"),
        ("/quantities", "/quantities"),
        ("/healthz", "/healthz"),
        ("/openapi.json", "/openapi.json"),
    ],
)
async def test_what_is_served_is_what_is_described(start, journal, path, served):
    """Each field has the type that the description gives it, and no field is missing or added."""

    async def coverage():
        return Coverage(
            168.0,
            18,
            True,
            [
                DeviceCoverage(1, "climate", 9, {"p": 1.0}, "p", True),
                DeviceCoverage(2, "lock", 9, {"p": 0.5}, None, False),
            ],
            [ProxyCoverage("p", "r", 9, 9, 1, {1: 1.0}, False, False)],
            [3],
        )

    journal.append(reading())
    await journal.flush()
    waiting = Newcomer(MAC, "LYWSD03MMC", True, "p0", "Hall", None, 3, 60.0, 1.0, "too many new devices")
    actions = Actions(
        route=lambda _mac: [CANDIDATE],
        coverage=coverage,
        newcomers=lambda: [waiting],
        units={"temperature": "°C"},
    )
    house = view([device(readable=True, read_age=60.0)], [proxy(), proxy(name="new", mac=None)])
    client = await start(view=house, actions=actions)
    async with client.get(served) as response:
        document = await response.json()
    assert document
    assert wrong(document, schema_of(path)) == []


async def test_an_error_is_what_is_described(start):
    """The same body for every error."""
    client = await start()
    async with client.get("/nothing") as response:
        assert wrong(await response.json(), {"$ref": "#/components/schemas/Error"}) == []


@pytest.mark.parametrize("report", [REPORT, ReadReport(False, "failed")])
def test_the_lines_of_a_read_are_what_is_described(report):
    """Progress and result, with and without a log and a clock."""
    assert wrong(plain(Progress("log", "p", 3, 10)), SCHEMAS["Progress"]) == []
    assert wrong(plain(report), SCHEMAS["ReadReport"]) == []


def test_a_reading_is_described_in_its_order():
    """The keys of a reading's JSON and their order are a contract."""
    document = json.loads(as_json(reading(events=(Event("button", "press"),))))
    assert list(document) == list(SCHEMAS["Reading"]["properties"])
    assert wrong(document, SCHEMAS["Reading"]) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("DeviceStatus", {"mac": "nonsense"}),
        ("DeviceStatus", {"values": {"battery": 87}}),
        ("ProxyStatus", {"state": "unheard of"}),
        ("ProxyStatus", {"rate": "fast"}),
        ("Heard", {"more": 1}),
    ],
)
async def test_a_document_that_is_not_as_described_is_found(start, name, changes):
    """The check of these tests finds wrong types, values and fields."""
    client = await start(view=view(devices=[device()]))
    async with client.get("/status") as status, client.get("/devices") as devices:
        ((made,), (heard,)) = (await devices.json(), (await status.json())["proxies"])
    documents = {"DeviceStatus": made, "Heard": made["heard"][0], "ProxyStatus": heard}
    assert wrong(documents[name], SCHEMAS[name]) == []
    assert wrong(documents[name] | changes, SCHEMAS[name]) != []


async def test_the_description_is_served(start):
    """As JSON, in the version of OpenAPI that it names; to clients of the control socket without a token."""
    client = await start(token=Secret("unused here"))
    async with client.get("/openapi.json") as response:
        assert (await response.json()) == API
    assert API["openapi"] == "3.1.0"
