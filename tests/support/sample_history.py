"""A small history with a few rows of every kind, and the command that keeps one of the present format for the tests.

``python tests/support/sample_history.py tests/data/history/vN.db`` (from the project's folder, with ``tests`` in
PYTHONPATH) writes the file of the present format N. Run it with the released code, before the format changes.
"""

import asyncio
import sys
from pathlib import Path

import attrs

from proxy_listener.history import Journal
from proxy_listener.model.history import Reception
from proxy_listener.model.reading import Event, Reading

MAC, BUTTON, PLANT, UNKNOWN = 0xA4C1380283F4, 0x54EF44E12345, 0xC47C8D6A3B11, 0xA4C138FFFFFF
T0 = 1_700_000_000.0

CLIMATE = Reading(
    time=T0,
    mac=MAC,
    name="Bedroom climate",
    model="LYWSD03MMC",
    source="advertisement",
    proxy="bedroom-proxy",
    room="Bedroom",
    rssi=-61,
    counter=100,
    trust="authenticated",
    late=False,
    values={"temperature": 21.5, "humidity": 47},
    identity=b"key!\0\0\0\x64tag!",
)

READINGS = (
    CLIMATE,
    attrs.evolve(
        CLIMATE, time=T0 + 60, counter=102, values={"temperature": 22, "battery": 80}, identity=b"key!\0\0\0\x66tag?"
    ),
    attrs.evolve(
        CLIMATE,
        time=T0 + 61,
        counter=101,
        proxy="hall-proxy",
        room="Hall",
        rssi=-90,
        late=True,
        values={"temperature": 21.75, "humidity": 48},
        fires=False,
        stale=frozenset({"temperature"}),
        identity=b"key!\0\0\0\x65tag.",
    ),
    attrs.evolve(
        CLIMATE,
        time=T0 + 100,
        mac=BUTTON,
        name="Küche ☂",
        model="YLKG07YL/YLKG08YL",
        counter=7,
        trust="encrypted",
        values={},
        events=(Event("dimmer", "rotate_left", {"steps": 3}), Event("button", "press")),
        identity=b"C\0\0\0\x07abc",
    ),
    attrs.evolve(
        CLIMATE,
        time=T0 + 101.5,
        mac=BUTTON,
        name="Küche ☂",
        model="YLKG07YL/YLKG08YL",
        counter=6,
        trust="encrypted",
        late=True,
        values={"door": True, "state": "open"},
        events=(Event("button", "double_press"),),
        identity=b"C\0\0\0\x06abc",
    ),
    attrs.evolve(
        CLIMATE,
        time=T0 + 200,
        mac=PLANT,
        name="Ficus",
        model="HHCCJCY01",
        counter=9,
        trust="claimed",
        identity=b"P\x09xy",
    ),
    attrs.evolve(
        CLIMATE,
        time=T0 + 300,
        mac=PLANT,
        name="Ficus",
        model="HHCCJCY01",
        source="read",
        rssi=None,
        counter=None,
        trust="claimed",
        values={"temperature": 19.5, "moisture": 33, "conductivity": 412, "illuminance": 1200, "battery": 99},
        identity=b"",
    ),
    attrs.evolve(
        CLIMATE,
        time=T0 - 3600,
        mac=PLANT,
        name="Ficus",
        model="HHCCJCY01",
        source="history",
        rssi=None,
        counter=None,
        trust="claimed",
        values={"temperature": 18.25},
        identity=b"",
    ),
)
"""In the order in which they were appended: one of each source, trust and event, one late, one stale, one not fired."""

HEARING = [
    Reception("bedroom-proxy", MAC, int(T0 // 3600), 10, 4, 12),
    Reception("hall-proxy", MAC, int(T0 // 3600), 8, 2, 12),
]
NOTES = {"log-covered.C47C8D6A3B11": "1699996400", "mqtt-client": "proxy-listener-1a2b"}
CURSOR = "mqtt"
CONFIRMED = 3
"""The row up to which the cursor confirmed; the first row has id 1."""
ADMITTED = {BUTTON: T0 + 99}
SEALED = [
    (UNKNOWN, T0 + 5, "bedroom-proxy", -70, 0, bytes.fromhex("5858 5b05 01 ffffff38c1a4".replace(" ", "")), 0xFE95),
    (UNKNOWN, T0 + 6, "hall-proxy", -75, 1, bytes.fromhex("5858 5b05 02 ffffff38c1a4".replace(" ", "")), 0xFE95),
]
"""Frames of a device without a key: MAC, time, proxy, RSSI, address type, service data, its UUID."""


async def write(path):
    """Make the history at ``path``. FileExistsError where there is one: a released sample never changes."""
    if path.exists():
        raise FileExistsError(f"{path} exists, and a sample of a format is made once")
    journal = Journal(path)
    cursor = journal.cursor(CURSOR)
    for mac, time in ADMITTED.items():
        journal.tables.admit(mac, time)
    for name, value in NOTES.items():
        journal.tables.note(name, value)
    journal.tables.record_reception(HEARING)
    for frame in SEALED:
        journal.tables.seal(*frame)
    for reading in READINGS:
        journal.append(reading)
    assert await journal.flush()
    await cursor.confirm(CONFIRMED)
    await journal.close()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
