"""What every test of a format needs: vectors, and an advertising payload to what it says."""

import json
from pathlib import Path

import pytest
from support.decoding import read

DATA = Path(__file__).parent.parent / "data"


def events_of(decoded):
    return [{"event": event.event, "type": event.type, **event.properties} for event in decoded.events]


@pytest.fixture(name="read")
def read_fixture():
    return read


@pytest.fixture(name="events_of")
def events_of_fixture():
    return events_of


def pytest_generate_tests(metafunc):
    """A test that asks for ``vector`` or ``made`` runs for each case of that file."""
    if "vector" in metafunc.fixturenames:
        cases = json.loads((DATA / "xiaomi.json").read_text())
        metafunc.parametrize("vector", cases, ids=[case["id"] for case in cases])
    if "made" in metafunc.fixturenames:
        cases = json.loads((DATA / "made.json").read_text())
        metafunc.parametrize("made", cases, ids=[f"{c['product']}-{c['object']}-{c['data']}" for c in cases])
