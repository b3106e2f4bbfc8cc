"""What every test here needs: an advertising payload to what it says, the way the listener goes."""

import json
from pathlib import Path

import pytest

from proxy_listener.formats.xiaomi import hhcc, miscale
from proxy_listener.formats.xiaomi.mibeacon import Bindkey, open_frame, parse_frame
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.formats.xiaomi.objects import decode_objects
from proxy_listener.model.advertisement import BODY_COMPOSITION, MIBEACON, TUYA, WEIGHT_SCALE, service_data
from proxy_listener.model.secret import Secret

DATA = Path(__file__).parent.parent / "data"


def read(payload, address, key=None):
    """The first service data of ours: its model and what it says; None for no objects, no key, a wrong key."""
    for uuid, data in service_data(payload):
        if uuid == MIBEACON:
            frame = parse_frame(data, address)
            model = model_of(frame.product_id)
            body = frame.body
            if body and frame.encrypted:
                body = open_frame(frame, data, address, Bindkey(Secret(key))) if key else None
            return (model, decode_objects(body, model, strict=frame.encrypted)) if body else None
        if uuid in {WEIGHT_SCALE, BODY_COMPOSITION}:
            return miscale.decode(uuid, data)
        if uuid == TUYA:
            return hhcc.decode(uuid, data)
    return None


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
