"""The verbs of a running service, over a real control socket with a house of made values behind it."""

import asyncio
import csv
import io
import itertools
import json
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import attrs
import pytest
from rich.console import Console

from proxy_listener.cli.output import table_for
from proxy_listener.cli.rows import PROXY_HEAD, proxy_row
from proxy_listener.cli.status import print_status
from proxy_listener.cli.verb import Options
from proxy_listener.engine.coverage import Coverage, DeviceCoverage, ProxyCoverage
from proxy_listener.history import Journal
from proxy_listener.model.reading import Event, Reading, as_json
from proxy_listener.model.status import DeviceStatus, Heard, KeyState, ProxyState, ProxyStatus, View
from proxy_listener.reads.contract import Attempt, Progress, ReadReport
from proxy_listener.reads.ranking import Candidate
from proxy_listener.web import Actions, serve_control
from proxy_listener.web.documents import proxy_document

MAC = 0xA4C1380283F4
HOSTILE = "=cmd [red]Attic[/red]"

PROXY = ProxyStatus(
    name="kitchen-proxy",
    room="Kitchen",
    mac=0xA0B1C2D3E4F5,
    state=ProxyState.LIVE,
    cause="advertisements are coming",
    advice="",
    address="192.0.2.10:6053",
    version="2026.10.0",
    encrypted=True,
    active=True,
    scanner="running",
    advertisements=12_345,
    rate=42.5,
    heard_age=0.2,
    uptime=7300.0,
    slots_free=2,
    slots_limit=3,
    connecting=False,
    wifi_rssi=-55,
)
TAKEN = attrs.evolve(
    PROXY, name="hall-proxy", state=ProxyState.TAKEN, cause="another client took it", advice="set insist = true"
)
BEDROOM = DeviceStatus(
    mac=MAC,
    name="Bedroom climate",
    model="LYWSD03MMC",
    kind="climate",
    listed=True,
    room="Bedroom",
    available=True,
    heard_age=4.0,
    key=KeyState.VERIFIED,
    trust="authenticated",
    values={"temperature": (21.3, 1.0), "battery": (87, 1.0)},
    heard=[Heard("kitchen-proxy", "Kitchen", -61.4, 4.0, 0.93, 0)],
    readings=3,
    sleepy=False,
    interval=600.0,
    product_id=0x055B,
    counter=9808,
)
ATTIC = attrs.evolve(BEDROOM, mac=MAC + 1, name=HOSTILE, available=False, heard_age=100_000.0)
CANDIDATE = Candidate(
    proxy="kitchen-proxy",
    room="Kitchen",
    eligible=True,
    busy=False,
    chosen=True,
    standing=1,
    score=-61.4,
    rssi=-61.4,
    heard_age=4.0,
    address_type=0,
    slots_free=2,
    slots_limit=3,
    failures=0.0,
    reason="hears it best",
)


def reading(number: int, **changes) -> Reading:
    fields = {
        "time": 1_795_370_645.0 + number,
        "mac": MAC,
        "name": "Bedroom climate",
        "model": "LYWSD03MMC",
        "source": "advertisement",
        "proxy": HOSTILE,
        "room": "Bedroom",
        "rssi": -61,
        "counter": number,
        "trust": "authenticated",
        "late": False,
        "values": {"temperature": 21.3},
        "identity": number.to_bytes(12, "big"),
    }
    return Reading(**(fields | changes))


READINGS = [
    reading(1),
    reading(2, values={"humidity": 46.7, "door": True}),
    reading(3, values={}, events=(Event("button", "press"),)),
    reading(4, mac=MAC + 1, name=HOSTILE),
]


async def read(_mac, history, tell):
    tell(Progress("connecting", "kitchen-proxy"))
    tell(Progress("log", "kitchen-proxy", 3, 9))
    if history:
        return ReadReport(
            ok=False, detail="no route was left", attempts=[Attempt("kitchen-proxy", False, "timeout", "too late", 1.0)]
        )
    return ReadReport(ok=True, detail="read through kitchen-proxy", values={"battery": 87})


async def capture():
    yield '{"time":1.0}'
    yield '{"time":2.0}'


async def covered():
    """What app answers: one proxy carries the bedroom alone, one adds nothing, the attic is heard by nobody."""
    heard = [DeviceCoverage(MAC, "Bedroom climate", 200, {"hall-proxy": 0.05, "kitchen-proxy": 1.0}, None)]
    kitchen = ProxyCoverage("kitchen-proxy", "Kitchen", 200, 190, 1, {MAC: 0.95}, False, False)
    hall = ProxyCoverage("hall-proxy", "Hall", 10, 0, 1, {}, True, False)
    return Coverage(168.0, heard, [hall, kitchen], [MAC + 1])


@contextmanager
def living(state, actions, *, talking=False):
    """A service in a thread of its own; ``talking``: with a new reading every 20 ms."""
    ready, done = threading.Event(), threading.Event()

    async def talk(journal) -> None:
        for number in itertools.count(100):
            journal.append(reading(number))
            await asyncio.sleep(0.02)

    async def house() -> None:
        journal = Journal(None)
        for one in READINGS:
            journal.append(one)
        await journal.flush()
        view = View(lambda: [BEDROOM, ATTIC], lambda: [PROXY, TAKEN], lambda: {"decoded": 7, "replay": 0})
        parts = [
            journal.run(),
            serve_control(state, view, journal, actions),
            *([talk(journal)] if talking else []),
        ]
        tasks = [asyncio.create_task(part) for part in parts]
        while not (state / "control.sock").exists():  # noqa: ASYNC110  serve_control() tells nobody when it listens
            await asyncio.sleep(0)
        ready.set()
        await asyncio.to_thread(done.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await journal.close()

    thread = threading.Thread(target=asyncio.run, args=(house(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield state
    finally:
        done.set()
        thread.join()


ACTIONS = Actions(route=lambda _mac: [CANDIDATE], read=read, stream=capture, coverage=covered)


@pytest.fixture
def state(tmp_path):
    """The state directory of a running service."""
    with living(tmp_path, ACTIONS) as state:
        yield state


def test_status_shows_every_proxy_and_what_to_do(call, state):
    """A row each; cause and advice of the one that is not well; counts that are not zero."""
    result = call("status", "--state", state)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].endswith("history ok")
    row = "kitchen-proxy Kitchen live 192.0.2.10:6053 42.5 0 s 2/3 -55 dBm 2026.10.0 2 h"
    assert " ".join(lines[2].split()) == row
    assert lines[4] == "hall-proxy: another client took it. set insist = true"
    assert lines[5] == "advertisements: decoded 7"


def test_devices_shows_values_and_ages(call, state):
    """A row each; markup in a name is a name."""
    lines = call("devices", "--state", state).stdout.splitlines()
    assert lines[1].split("  ")[0] == "Bedroom climate"
    assert "temperature 21.3 °C, battery 87 %, button press" in lines[1]
    assert lines[2].startswith(HOSTILE)
    assert "28 h (away)" in lines[2]


@pytest.mark.parametrize("verb", ["status", "devices", "route Bedroom", "history Bedroom", "read Bedroom"])
def test_every_listing_is_json_when_asked(call, state, verb):
    """One document on standard output."""
    result = call(*verb.split(), "--json", "--state", state)
    assert result.exit_code == 0
    assert json.loads(result.stdout)


@pytest.mark.parametrize("wanted", ["bedroom", "Bedroom climate", "A4:C1:38:02:83:F4", "a4c1380283f4"])
def test_a_device_is_found_by_name_or_mac(call, state, wanted):
    """Or by the only part of a name that fits."""
    result = call("route", wanted, "--state", state)
    row = "* kitchen-proxy Kitchen -61.4 4 s -61.4 2/3 hears it best"
    assert " ".join(result.stdout.splitlines()[1].split()) == row


@pytest.mark.parametrize(("wanted", "words"), [("Cellar", "no such device: Cellar"), ("i", "is more than one device")])
def test_a_device_that_is_not_meant_clearly_fails_in_words(call, state, wanted, words):
    """Status 1."""
    result = call("history", wanted, "--state", state)
    assert result.exit_code == 1
    assert words in result.stderr


def test_a_read_shows_its_steps_and_its_values(call, state):
    """Steps on standard error, values on standard output."""
    result = call("read", "Bedroom", "--state", state)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["connecting through kitchen-proxy", "log through kitchen-proxy 3 of 9"]
    assert result.stdout.splitlines() == ["read through kitchen-proxy", "battery 87 %"]


def test_a_read_that_fails_says_by_which_routes(call, state):
    """Status 1."""
    result = call("read", "Bedroom", "--history", "--state", state)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-2:] == ["kitchen-proxy: too late", "no route was left"]


def test_history_is_a_table_oldest_first(call, state):
    """Values in words, events too."""
    lines = call("history", "Bedroom", "--state", state).stdout.splitlines()
    assert [line.split("-61")[1].strip() for line in lines[1:]] == [
        "temperature 21.3 °C",
        "humidity 46.7 %, door yes",
        "button press",
    ]
    assert len(call("history", "Bedroom", "--limit", 1, "--state", state).stdout.splitlines()) == 2


def test_history_within_a_range(call, state):
    """Times as ISO 8601; how long ago; nonsense is a slip of usage."""
    words = ["history", "Bedroom", "--json", "--state", state]
    assert len(json.loads(call(*words, "--since", "2026-11-22T18:04:07Z").stdout)) == 2
    assert len(json.loads(call(*words, "--until", "2026-11-22T18:04:07Z").stdout)) == 1
    assert json.loads(call(*words, "--since", "2d").stdout) is not None
    assert call(*words, "--since", "yesterdayish").exit_code == 2


def test_csv_has_a_column_for_each_quantity(call, state):
    """A cell that a spreadsheet would compute gets an apostrophe."""
    rows = list(csv.DictReader(io.StringIO(call("history", "Bedroom", "--csv", "--state", state).stdout)))
    assert [(row["temperature"], row["humidity"], row["door"], row["events"]) for row in rows] == [
        ("21.3", "", "", ""),
        ("", "46.7", "true", ""),
        ("", "", "", "button press"),
    ]
    assert {row["proxy"] for row in rows} == {"'" + HOSTILE}


def test_export_gives_every_reading_as_it_is(call, state):
    """JSON Lines, byte for byte what a sink would write; or the readings of one device."""
    lines = call("export", "--state", state).stdout.splitlines()
    assert lines == [as_json(one) for one in READINGS]
    assert call("export", "Attic", "--state", state).stdout.splitlines() == lines[3:]


def test_export_to_a_file(call, state, tmp_path):
    """CSV with a head and a row for each reading; an output that cannot be had fails in words."""
    result = call("export", "--format", "csv", "-o", tmp_path / "x.csv", "--state", state)
    assert (result.exit_code, result.stdout) == (0, "")
    assert len((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(READINGS)
    result = call("export", "-o", tmp_path / "no" / "x", "--state", state)
    assert (result.exit_code, result.stderr) == (1, f"{tmp_path}/no/x: No such file or directory\n")


def test_record_takes_the_service_s_stream(call, state, tmp_path):
    """The capture lines as they come."""
    result = call("record", "-o", tmp_path / "capture.jsonl", "--state", state)
    assert result.exit_code == 0
    assert (tmp_path / "capture.jsonl").read_text(encoding="utf-8") == '{"time":1.0}\n{"time":2.0}\n'


def test_coverage_says_what_each_room_is_good_for(call, state):
    """What would be lost without a proxy, which adds nothing, and who is heard by nobody."""
    lines = [" ".join(line.split()) for line in call("coverage", "--state", state).stdout.splitlines()]
    assert lines == [
        "frames of the last 7 d",
        "proxy room devices frames lost without it",
        "hall-proxy Hall 1 10 adds nothing",
        "kitchen-proxy Kitchen 1 200 Bedroom climate 95 %",
        "",
        "device mac frames heard by",
        "Bedroom climate A4:C1:38:02:83:F4 200 kitchen-proxy 100 %, hall-proxy 5 %",
        "",
        f"no proxy hears: {HOSTILE}",
    ]


def test_watch_is_json_lines_without_a_terminal_and_ends_when_told(tmp_path):
    """Readings from now on, as they come; Ctrl-C is a normal end."""
    with living(tmp_path, ACTIONS, talking=True):
        words = [sys.executable, "-m", "proxy_listener", "watch", "--state", str(tmp_path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            lines = [json.loads(watching.stdout.readline()) for _ in range(3)]
            watching.send_signal(signal.SIGINT)
            _, errors = watching.communicate(timeout=10)
    assert (watching.returncode, errors) == (0, "")
    first = lines[0]["counter"]
    assert [line["counter"] for line in lines] == [first, first + 1, first + 2]


def test_what_the_service_does_not_do_fails_in_its_words(call, tmp_path):
    """Status 1, not 69: there is a service."""
    with living(tmp_path, Actions()):
        result = call("coverage", "--state", tmp_path)
    assert result.exit_code == 1
    assert "keeps no record" in result.stderr


LOST = """\
event: reading
id: 1
data: {"time":"x"}

event: gap
data: {"lost":7}

: quiet

event: unstored
id: 9
data: {"time":"y"}

"""


def test_watch_tells_a_gap_and_does_not_print_it_as_a_reading(call, tmp_path):
    """Standard output has readings only; when the service stops, that is no normal end."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + LOST.encode())
        await writer.drain()
        writer.close()

    with answering(tmp_path / "control.sock", answer):
        result = call("watch", "--state", tmp_path)
    assert result.exit_code == 69
    assert result.stdout.splitlines() == ['{"time":"x"}', '{"time":"y"}']
    assert result.stderr.splitlines() == [
        "7 readings were dropped: this reader is too slow; history has them",
        "the service stopped",
    ]


@contextmanager
def answering(path, answer):
    """Something that answers at a Unix socket, in a thread of its own."""
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with await asyncio.start_unix_server(answer, path):
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        done.set()
        thread.join()


def test_status_fails_while_readings_cannot_be_stored(call, tmp_path):
    """What a container's health check asks: status 1, and the cause in words."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        storage = {"ok": False, "error": "disk full", "alarm": None}
        document = {"version": "1", "uptime": 3.0, "storage": storage, "proxies": [], "outcomes": {}}
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        writer.write(json.dumps(document).encode())
        await writer.drain()
        writer.close()

    with answering(tmp_path / "control.sock", answer):
        result = call("status", "--state", tmp_path)
    assert result.exit_code == 1
    assert "history cannot be written: disk full" in result.stdout


def test_status_names_nodes_that_are_not_used_in_one_line(capsys):
    """A neighbour's node has no row and no advice."""
    stranger = proxy_document(attrs.evolve(PROXY, name="stranger", state=ProxyState.NOT_ACCEPTED, advice="let it in"))
    storage = {"ok": True, "error": None, "alarm": None}
    document = {"version": "1", "uptime": 3.0, "storage": storage, "proxies": [stranger], "outcomes": {}}
    print_status(document, Options())
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "not used: stranger; discover says why"
    assert len(lines) == 3


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_fits_its_terminal_and_cuts_nothing(width):
    """Columns go in a fixed order; what stays is whole."""
    text = io.StringIO()
    rows = [proxy_row(proxy_document(one)) for one in (PROXY, attrs.evolve(TAKEN, name="living-room-proxy-a81f0c"))]
    Console(file=text, width=width).print(table_for(PROXY_HEAD, rows, width))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert all(word in text.getvalue() for word in ("kitchen-proxy", "living-room-proxy-a81f0c", "taken", "42.5"))
