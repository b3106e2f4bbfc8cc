"""Damaged and hostile advertisements raise only DecodeError, cost a bounded number of steps, give values in range.

The short form always runs. The long form, ten million frames, is run by hand:
``pytest -m long tests/formats/test_fuzz.py -s``.
"""

import json
import random
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from support.decoding import decode

from proxy_listener.formats import FORMATS
from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.bthome.objects import OBJECTS as BTHOME
from proxy_listener.formats.xiaomi.models import MODELS, model_of
from proxy_listener.formats.xiaomi.objects import rows_of
from proxy_listener.model.advertisement import COMPANY, parse_mac, payloads
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.quantities import row_of
from proxy_listener.model.secret import Secret
from proxy_listener.simulator import frames

VECTORS = Path(__file__).parent.parent / "data" / "xiaomi.json"
REPORTS = VECTORS.with_name("reports.json")
KEY, LEGACY_KEY = bytes(range(16)), bytes(range(12))
MAC = 0xA4C1380283F4
STEPS = 2_500
"""Lines of Python that one advertisement may execute. The most in 1,000,000 frames is 477, measured on Python 3.11, and
2,200 in 62 bytes made for it."""


def seeds():
    """(payload, address, key): the public vectors and reports."""
    for case in json.loads(REPORTS.read_text()):
        for advert in case["capture"]:
            key = case["bindkeys"].get(advert["mac"])
            yield bytes.fromhex(advert["data"]), parse_mac(advert["mac"]), Bindkey(Secret(key)) if key else None
    for case in json.loads(VECTORS.with_name("qingping.json").read_text()):
        yield bytes.fromhex(case["data"]), parse_mac(case["mac"]), None
    for case in json.loads(VECTORS.with_name("bthome.json").read_text()):
        if data := case.get("data"):
            key = Bindkey(Secret(case["bindkey"])) if case.get("bindkey") else None
            yield bytes.fromhex(data), parse_mac(case.get("mac", "54:48:E6:8F:80:A5")), key
    for case in json.loads(VECTORS.read_text()):
        key = Bindkey(Secret(case["bindkey"])) if case["bindkey"] else None
        for advert in case["adverts"]:
            yield bytes.fromhex(advert["data"]), parse_mac(advert["mac"]), key


def mutated(rng, payload):
    """One to four changes: bits, bytes, lengths, cuts, insertions."""
    data = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 6))
        elif data:
            del data[min(at, len(data) - 1)]
    return bytes(data)


class Structured:
    """Well-formed headers around objects of every model, with data of right and wrong lengths."""

    def __init__(self, rng):
        self.rng = rng
        self.products = [*MODELS, 0x5A5A, 0xFFFF]
        self.objects = {product: sorted(rows_of(model_of(product)).items()) for product in self.products}
        self.bthome_ids = sorted(BTHOME)
        self.keys = {None: None, KEY: Bindkey(Secret(KEY.hex())), LEGACY_KEY: Bindkey(Secret(LEGACY_KEY.hex()))}

    def payload(self, product):
        rng, out = self.rng, b""
        for _ in range(rng.randint(1, 3)):
            object_id, row = rng.choice(self.objects[product])
            length = rng.choice(tuple(row.lengths)) if rng.random() < 0.9 else rng.randrange(12)
            out += frames.obj(object_id if rng.random() < 0.95 else rng.randrange(0x10000), rng.randbytes(length))
        return out

    def advert(self):
        rng = self.rng
        product = rng.choice(self.products)
        key = rng.choice((None, KEY, LEGACY_KEY))
        data = frames.frame(
            product,
            rng.randrange(256),
            self.payload(product),
            mac=MAC,
            key=key,
            extended=rng.randrange(1 << 24),
            version=rng.choice((2, 3)) if key is LEGACY_KEY else rng.choice((4, 5)),
            include_mac=rng.random() < 0.5,
            capability=rng.choice((None, 0x08, 0x28)),
            io=rng.choice((b"", b"\x01", b"\x01\x00")),
        )
        uuid = 0xFE95 if rng.random() < 0.8 else COMPANY | 0x038F
        return frames.advertisement(data, uuid), MAC, self.keys[key]

    def scale(self):
        rng = self.rng
        when = datetime(2024, 1, 1)  # noqa: DTZ001  a scale's clock has no zone
        one = frames.scale_v1(rng.randrange(65536), when, rng.randrange(256))
        two = frames.scale_v2(
            rng.randrange(65536), when, rng.randrange(65536), (rng.randrange(256), rng.randrange(256))
        )
        uuid, data = rng.choice(
            (
                (0x181D, one),
                (0x181B, two),
                (0xFD50, rng.randbytes(9)),
                (0x181A, MAC.to_bytes(6, "little") + rng.randbytes(rng.choice((8, 9)))),
                (0x181A, MAC.to_bytes(6, "big") + rng.randbytes(7)),
                (0xFDCD, self.qingping()),
                (0xFCD2, frames.bthome_v2(self.bthome(), mac=MAC, include_mac=rng.random() < 0.2)),
                (0x181C, self.bthome_v1()),
            )
        )
        return frames.advertisement(mutated(rng, data) if rng.random() < 0.3 else data, uuid), MAC, None

    def bthome(self):
        rng, body = self.rng, b""
        for _ in range(rng.randint(0, 6)):
            object_id = rng.choice(self.bthome_ids)
            size = BTHOME[object_id].size
            if size == 0:
                size = rng.randrange(4)
                body += bytes((object_id, size if rng.random() < 0.9 else rng.randrange(256)))
                size += object_id == 0x3B
            else:
                body += bytes((object_id,))
            body += rng.randbytes(size)
        return body + (bytes((rng.randrange(256),)) if rng.random() < 0.1 else b"")

    def bthome_v1(self):
        rng, body = self.rng, b""
        for _ in range(rng.randint(0, 5)):
            object_id = rng.choice(self.bthome_ids) if rng.random() < 0.95 else rng.randrange(256)
            row = BTHOME.get(object_id)
            size = row.size if row is not None and rng.random() < 0.8 else rng.choice((0, 1, 2, 4, 8))
            body += bytes((rng.randrange(8) << 5 | size + 1, object_id)) + rng.randbytes(size)
        return body

    def sealed(self):
        """Encrypted frames of BTHome."""
        rng, counter = self.rng, self.rng.randrange(1 << 32)
        if rng.random() < 0.7:
            body = self.bthome() or b"\x01\x5d"
            data = frames.bthome_v2(body, mac=MAC, counter=counter, key=KEY, include_mac=rng.random() < 0.2)
            return frames.advertisement(data, 0xFCD2), MAC, self.keys[KEY]
        data = frames.bthome_v1(self.bthome_v1() or b"\x02\x01\x5d", mac=MAC, counter=counter, key=KEY)
        return frames.advertisement(data, 0x181E), MAC, self.keys[KEY]

    def qingping(self):
        rng, body = self.rng, b""
        for _ in range(rng.randint(0, 4)):
            kind, size = rng.choice(((1, 4), (2, 1), (4, 1), (7, 2), (8, 4), (9, 4), (15, 1), (18, 4), (25, 1)))
            body += bytes((kind, size if rng.random() < 0.9 else rng.randrange(256))) + rng.randbytes(size)
        return bytes((rng.choice((0x08, 0x48, 0x88)), rng.randrange(0x70))) + MAC.to_bytes(6, "little") + body


def hear(payload, address, key):
    """What the listener does with it: every service data of ours."""
    for uuid, data in payloads(payload):
        if uuid in FORMATS and (found := decode(uuid, data, address, key)):
            yield found[1]


def out_of_range(values):
    for name, value in values.items():
        quantity = row_of(name)
        if not isinstance(value, bool | str) and not quantity.low <= value <= quantity.high:
            yield name


class Steps:
    """Counts the lines of Python that are executed inside the block: the same for the same frame on every machine."""

    def __enter__(self):
        self.count = 0
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def trace(self, _frame, event, _argument):
        self.count += event == "line"
        return self.trace


def fuzz(count, seed):
    """Frames counted by outcome, with those of too many steps or a value out of range; the most steps of one frame."""
    rng = random.Random(seed)
    vectors, structured = list(seeds()), Structured(rng)
    seen = Counter(dict.fromkeys(("decoded", "nothing", "refused", "exceptions", "slow", "out of range"), 0))
    most = 0
    for _ in range(count):
        kind = rng.random()
        if kind < 0.6:
            payload, address, key = rng.choice(vectors)
            payload = mutated(rng, payload)
        elif kind < 0.9:
            payload, address, key = structured.advert()
            if rng.random() < 0.3:
                payload = mutated(rng, payload)
        elif kind < 0.92:
            payload, address, key = structured.sealed()
        else:
            payload, address, key = structured.scale()
        with Steps() as steps:
            found, outcome = outcome_of(payload, address, key)
        if outcome not in seen:
            seen[f"{outcome} {payload.hex()}"] += 1
            outcome = "exceptions"
        most = max(most, steps.count)
        seen[outcome] += 1
        seen["slow"] += steps.count > STEPS
        seen["out of range"] += any(True for decoded in found for _ in out_of_range(decoded.values))
    return seen, most


def outcome_of(payload, address, key):
    """What a payload gives, and the word to count it by: of an unexpected error, its repr."""
    try:
        found = list(hear(payload, address, key))
    except DecodeError:
        return [], "refused"
    except Exception as problem:  # noqa: BLE001  this is what is counted
        return [], repr(problem)
    return found, "decoded" if found else "nothing"


def clean(seen):
    return seen["exceptions"] == seen["slow"] == seen["out of range"] == 0


def test_twenty_thousand_frames():
    """The only error is DecodeError, no frame takes too many steps, no value is out of range; 3,000 frames decode."""
    seen, _ = fuzz(20_000, seed=1)
    assert clean(seen), seen
    assert seen["decoded"] > 3_000
    assert seen["refused"] > 1_000


@pytest.mark.parametrize(
    ("uuid", "data"),
    [
        (0xFCD2, frames.bthome_v2(b"\x60\x01\x3a\x01" * 13)),
        (0xFCD2, frames.bthome_v2(b"\x3a\x01" * 27)),
        (0xFCD2, frames.bthome_v2(b"\x53\x00" * 27)),
        (0x181C, b"\x02\x09\x60" * 18),
    ],
)
def test_the_most_objects_that_fit(uuid, data):
    """An advertisement with its scan response, full of the smallest objects."""
    with Steps() as steps:
        list(hear(frames.advertisement(data, uuid, flags=False), MAC, None))
    assert 500 < steps.count <= STEPS


@pytest.mark.long
def test_ten_million_frames(capsys):
    """The same holds for ten million frames."""
    seen, most = fuzz(10_000_000, seed=2)
    with capsys.disabled():
        print(dict(seen), f"most steps {most}")  # noqa: T201  the figures are the result
    assert clean(seen), seen
