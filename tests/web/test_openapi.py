"""The description against what is served."""

import json
import re

from support.made_house import device, proxy, reading

from proxy_listener.engine.coverage import Coverage, DeviceCoverage, ProxyCoverage
from proxy_listener.model.reading import as_json
from proxy_listener.reads.contract import Attempt, Progress, ReadReport
from proxy_listener.reads.ranking import Candidate
from proxy_listener.web.documents import device_document, plain, proxy_document
from proxy_listener.web.openapi import document
from proxy_listener.web.routes import ROUTES

SCHEMAS = document(ROUTES)["components"]["schemas"]


def test_every_route_is_described_and_nothing_else():
    """The page's own routes are no API."""
    described = {(method.upper(), path) for path, methods in document(ROUTES)["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES if route.summary}
    assert ("POST", "/devices/{mac}/read") in described
    assert ("GET", "/login") not in described


def test_every_reference_leads_somewhere():
    """And every schema is referred to by something."""
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document(ROUTES))))
    assert named == set(SCHEMAS)


def test_documents_have_the_fields_that_are_described():
    """Proxies and devices exactly, what comes from other rooms at least."""
    assert proxy_document(proxy()).keys() == SCHEMAS["ProxyStatus"]["properties"].keys()
    made = device_document(device(), 0.0)
    assert made.keys() == SCHEMAS["DeviceStatus"]["properties"].keys()
    assert made["heard"][0].keys() == SCHEMAS["Heard"]["properties"].keys()
    assert made["values"]["battery"].keys() == SCHEMAS["LatestValue"]["properties"].keys()


def test_what_other_rooms_answer_has_the_fields_that_are_promised():
    """The routing's candidates and the reads' reports as they are."""
    candidate = Candidate("p", "r", True, False, True, 1, -61.0, -61.0, 3.0, 0, 2, 3, 0.0, "hears it best")
    for value, name in (
        (candidate, "Candidate"),
        (Progress("connecting"), "Progress"),
        (Attempt("p", True, "", "ok", 1.0), "Attempt"),
        (ReadReport(True, "done"), "ReadReport"),
        (Coverage(168.0, [], [], []), "Coverage"),
        (DeviceCoverage(1, "climate", 9, {"p": 1.0}, "p"), "DeviceCoverage"),
        (ProxyCoverage("p", "r", 9, 9, 1, {1: 1.0}, False, False), "ProxyCoverage"),
    ):
        assert set(SCHEMAS[name]["required"]) <= plain(value).keys()


def test_a_reading_is_described():
    """The contract's keys, in the contract's order."""
    assert list(json.loads(as_json(reading()))) == list(SCHEMAS["Reading"]["properties"])


async def test_the_description_is_served(start):
    """As JSON, in the version of OpenAPI that it says."""
    client = await start()
    async with client.get("/openapi.json") as response:
        assert (await response.json()) == document(ROUTES)
    assert document(ROUTES)["openapi"] == "3.1.0"
