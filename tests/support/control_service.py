"""A service with made values at a control socket, and other servers at a socket."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import attrs
from support.background import in_thread

from proxy_listener.engine.coverage import Coverage, DeviceCoverage, ProxyCoverage
from proxy_listener.gatt.interface import ClockSet
from proxy_listener.history import Journal
from proxy_listener.model.reading import Event, Reading
from proxy_listener.model.status import DeviceStatus, Heard, KeyState, ProxyState, ProxyStatus, View
from proxy_listener.reads.interface import Attempt, Progress, ReadReport
from proxy_listener.reads.ranking import Candidate
from proxy_listener.web import Actions, serve_control

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
    readable=True,
    read_age=3600.0,
    read_due=82_800.0,
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


async def read(_mac, options, on_progress):
    on_progress(Progress("connecting", "kitchen-proxy"))
    on_progress(Progress("log", "kitchen-proxy", 3, 9))
    if options.set_clock:
        return ReadReport(ok=True, detail="read through kitchen-proxy", clock=ClockSet(-83, 0))
    if options.history:
        return ReadReport(
            ok=False, detail="no route was left", attempts=[Attempt("kitchen-proxy", False, "timeout", "too late", 1.0)]
        )
    return ReadReport(ok=True, detail="read through kitchen-proxy", values={"battery": 87})


async def capture():
    yield '{"time":1.0}'
    yield '{"time":2.0}'


async def covered():
    """What app answers: one proxy carries the bedroom alone, one adds nothing, the attic is heard by nobody."""
    heard = [DeviceCoverage(MAC, "Bedroom climate", 200, {"hall-proxy": 0.05, "kitchen-proxy": 1.0}, None, True)]
    kitchen = ProxyCoverage("kitchen-proxy", "Kitchen", 200, 190, 1, {MAC: 0.95}, False, False)
    hall = ProxyCoverage("hall-proxy", "Hall", 10, 0, 1, {}, True, False)
    return Coverage(168.0, 210, True, heard, [hall, kitchen], [MAC + 1])


HOUSE = View(lambda: [BEDROOM, ATTIC], lambda: [PROXY, TAKEN], lambda: {"decoded": 7, "replay": 0})


def running_service(state, actions, *, view=HOUSE, talking=False):
    """A service at the control socket of this state directory. ``talking``: with a new reading every 20 ms."""
    return in_thread(_service(state, actions, view, talking))


@asynccontextmanager
async def _service(state, actions, view, talking):
    journal = Journal(None)
    for one in READINGS:
        journal.append(one)
    await journal.flush()
    parts = [journal.run(), serve_control(state, view, journal, actions), *([_talk(journal)] if talking else [])]
    tasks = [asyncio.create_task(part) for part in parts]
    while not (state / "control.sock").exists():  # noqa: ASYNC110  serve_control() does not report that it listens
        await asyncio.sleep(0)
    yield state
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await journal.close()


async def _talk(journal) -> None:
    for number in itertools.count(100):
        journal.append(reading(number))
        await asyncio.sleep(0.02)


ACTIONS = Actions(route=lambda _mac: [CANDIDATE], read=read, stream=capture, coverage=covered)


def answering(answer, path=None):
    """A server that gives every connection to ``answer``, at a Unix socket, or at a port of loopback (returned)."""
    return in_thread(_server(answer, path))


@asynccontextmanager
async def _server(answer, path):
    starting = asyncio.start_server(answer, "127.0.0.1", 0) if path is None else asyncio.start_unix_server(answer, path)
    async with await starting as server:
        yield None if path is not None else server.sockets[0].getsockname()[1]
