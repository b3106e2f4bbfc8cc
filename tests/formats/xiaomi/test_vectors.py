"""Public vectors and made-up frames, as data: one test for each file, and one that no row is without a case."""

import json
from pathlib import Path

from proxy_listener.formats.xiaomi.miot_locks import LOCKS
from proxy_listener.formats.xiaomi.models import HHCCJCY10, MODELS, NUMBERED, SCALE_V1, SCALE_V2, model_of
from proxy_listener.formats.xiaomi.objects import _EVENTS, _OF_MODEL, _PRESSES, _PROPERTIES, _STANDARD, miot_id, rows_of
from proxy_listener.model.advertisement import parse_mac
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.events import kind_of
from proxy_listener.simulator import frames

DATA = Path(__file__).parents[2] / "data"
MAC = 0xA4C1380283F4
KEYS = {"v4/v5": bytes(range(16)), "legacy": bytes(range(12))}


def agrees(found, expected):
    if isinstance(expected, bool | str):
        return found is expected or found == expected
    return not isinstance(found, bool) and abs(found - expected) <= 0.051


def test_public_vector(vector, read, events_of):
    """Each advertisement gives every value and event that public decoders agree on, and none where they give none."""
    for advert, expected in zip(vector["adverts"], vector["expect"], strict=True):
        try:
            result = read(bytes.fromhex(advert["data"]), parse_mac(advert["mac"]), vector["bindkey"])
        except DecodeError:
            result = None
        if expected is None:
            assert result is None or not (result[1].values or result[1].events)
            continue
        model, decoded = result
        assert model.name == vector["model"]
        for name, value in expected["values"].items():
            assert agrees(decoded.values[name], value), name
        fired = [{"event": e["event"], "type": e["type"]} for e in events_of(decoded)]
        for event in expected["events"]:
            assert event in fired


def test_made_frame(made, read, events_of):
    """Each made-up object gives exactly the values and events worked out by hand, in a frame as its model sends it."""
    product, object_id = int(made["product"], 16), int(made["object"], 16)
    model = model_of(product)
    key = KEYS.get(model.encryption)
    version = {"legacy": 3, "none": 2}.get(model.encryption, 5)
    data = frames.frame(
        product, 7, frames.obj(object_id, bytes.fromhex(made["data"])), mac=MAC, key=key, extended=3, version=version
    )
    found, decoded = read(frames.advertisement(data), MAC, key.hex() if key else None)
    assert found is model
    assert (decoded.values, events_of(decoded)) == (made["values"], made["events"])
    for event in decoded.events:
        types = kind_of(event.event).types
        assert event.type in types or (model.buttons is NUMBERED and event.type in NUMBERED.presses.values())
    assert not decoded.skipped.unknown
    assert not decoded.skipped.implausible
    assert [type(value) for value in decoded.values.values() if isinstance(value, bool)] == [
        type(made["values"][name]) for name, value in decoded.values.items() if isinstance(value, bool)
    ]


def cases():
    """(product id, object id) of every case that asserts something."""
    for case in json.loads((DATA / "made.json").read_text()):
        yield int(case["product"], 16), int(case["object"], 16)
    for case in json.loads((DATA / "xiaomi.json").read_text()):
        products = [product for product, model in MODELS.items() if model.name == case["model"]]
        for object_id in case["objects"]:
            if any(case["expect"]):
                # Of models with several ids, the vector's own.
                on_air = [int.from_bytes(bytes.fromhex(advert["data"])[9:11], "little") for advert in case["adverts"]]
                yield from ((product, int(object_id, 16)) for product in products if product in on_air)


def test_every_product_has_a_case():
    """No row of the model table is without a frame that asserts what it decodes to."""
    tried = {product for product, _ in cases()}
    assert set(MODELS) - tried == set()
    names = {case["model"] for case in json.loads((DATA / "xiaomi.json").read_text())}
    assert {SCALE_V1.name, SCALE_V2.name, HHCCJCY10.name} <= names


def test_every_object_has_a_case():
    """No row of the object table is without one: standard rows, numbers of the MIoT rule, rows of one model only."""
    tried = set(cases())
    ids = {object_id for _, object_id in tried}
    assert set(_STANDARD) - ids == set()
    for numbers, event in ((_PROPERTIES, False), (_EVENTS, True), (_PRESSES, True)):
        for number in numbers:
            assert ids & {miot_id(service, number, event=event) for service in range(1, 16)}, number
    # Of the MIoT locks, test_miot_locks.py tries every code of every object.
    own = {(name, object_id) for name, rows in _OF_MODEL.items() for object_id in rows if name not in LOCKS}
    assert own - {(model_of(product).name, object_id) for product, object_id in tried} == set()


OBJECTS = """
    0003 0006 0007 0008 000A 000B 000F 0010 1001 1004 1005 1006 1007 1008 1009 100A 100D 100E 100F 1010
    1012 1013 1014 1015 1017 1018 1019 101B 2000 3003 4801 4802 4803 4804 4805 4806 4808 480C 4810 4811
    4818 483C 483D 483E 483F 4840 484E 484F 4850 4851 4852 487B 4A01 4A08 4A0C 4A0D 4A0E 4A0F 4A12 4A13
    4A1A 4A1C 4A68 4C01 4C02 4C03 4C08 4C14 4E01 4E0C 4E0D 4E0E 4E16 4E17 4E1C 5003 5010 5011 5403 5413
    5414 5422 5601 560C 560D 560E 5810 5A16 6012 605D 6461 6E16
"""
PRODUCTS = """
    0083 0098 00DB 0113 0153 015D 01AA 02DF 0347 0380 0387 0391 03B6 03BC 03BF 03D6 03DD 040A 045B 045C
    0489 04E1 04E6 04E9 055B 0576 0599 066F 068E 069E 069F 06D3 0784 07BF 07F6 0806 0863 098B 098C 0997
    09B0 0A83 0A8D 0B48 0C3C 0DE7 0DFD 0E39 11C2 1203 1568 1569 16E4 1790 1889 18E3 1949 1C10 20DB 2387
    2542 2832 2AEB 30D9 3531 38BB 3A61 3BD5 3E17 3F0F 3F4C 45C9 4683 48CF 4B05 4C04 4C47 4C60 4DCB 4F59
    4FC2 50FB 520B 55B5 5808 5968 59FA 59FB 59FC 5BEA 5DB1 6188 6375 64C5 6A0F 7712 78A3 78D1 78DB
"""


def test_nothing_that_a_public_decoder_knows_is_missing():
    """All 92 objects and 99 product ids that xiaomi-ble, ble_monitor and Theengs know together have rows."""
    rows = {object_id for model in MODELS.values() for object_id in rows_of(model)}
    assert {int(text, 16) for text in OBJECTS.split()} - rows == set()
    assert {int(text, 16) for text in PRODUCTS.split()} - set(MODELS) == set()
