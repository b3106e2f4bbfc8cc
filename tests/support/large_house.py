"""A large house for the page: many proxies and devices, some in trouble, some with hostile names."""

import math
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from support.made_status import NOW, device, proxy, reading, view

from proxy_listener.engine.coverage import Coverage, coverage
from proxy_listener.model.history import Reception
from proxy_listener.model.reading import Reading
from proxy_listener.model.status import Heard, KeyState, ProxyState, ProxyStatus, View

ROOMS = ("Kitchen", "Hall", "Bedroom", "Bathroom", "Study", "Cellar", "Attic", "Greenhouse", "Garage", "Nursery")

HOSTILE = (
    "<img src=x onerror=document.title='owned'>",
    "</script><script>document.title='owned'</script>",
    "\u202edlrow olleh\u202c \u05e9\u05dc\u05d5\u05dd",
    "W" * 64,
    '"><b onmouseover=alert(1)>&amp;&lt;',
    "\U0001f9ea Ω 温度計 ज़रूर",
)
"""Names that an attacker might advertise. The service removes invisible characters; the page must not rely on it."""


def _troubled() -> list[ProxyStatus]:
    return [
        proxy(
            name="cellar-proxy",
            room="Cellar",
            mac=0xA0B1C2D30001,
            state=ProxyState.WRONG_KEY,
            cause="The node refuses the key that devices.toml gives it.",
            advice="Compare noise_psk with api: encryption: key: in the node's YAML.",
            slots_free=None,
            slots_limit=None,
            rate=0.0,
        ),
        proxy(
            name="garage-proxy",
            room="Garage",
            mac=0xA0B1C2D30002,
            state=ProxyState.HELD,
            cause="Another client, most likely Home Assistant, has the stream; this firmware has only one.",
            advice="Disable the node's Bluetooth proxy in Home Assistant, or update the firmware to 2026.7.",
            rate=0.0,
        ),
        proxy(name="stranger", room="", mac=0xA0B1C2D30003, state=ProxyState.NOT_ACCEPTED, cause="plaintext", rate=0.0),
        proxy(name="attic-proxy", room="Attic", mac=0xA0B1C2D30004, state=ProxyState.CONNECTING, rate=0.0),
    ]


def large_house(proxies: int, devices: int) -> View:
    """A view of this many proxies and devices; some are in trouble, some have hostile names."""
    chance = random.Random(7)  # the same house in every run
    nodes = [
        proxy(
            name=f"{ROOMS[k % 10].lower()}-proxy-{k}",
            room=f"{ROOMS[k % 10]} {k // 10 + 1}" if proxies > 10 else ROOMS[k % 10],
            mac=0xA0B1C2D40000 + k,
            rate=round(chance.uniform(3, 60), 2),
            wifi_rssi=-chance.randrange(40, 82),
            slots_free=chance.randrange(0, 4),
            active=k % 7 != 3,
            encrypted=k % 11 != 4,
        )
        for k in range(proxies)
    ]
    kinds = (
        ("LYWSD03MMC", "temperature humidity sensor", ("temperature", "humidity", "battery"), False),
        ("HHCCJCY01", "plant sensor", ("temperature", "moisture", "conductivity", "illuminance", "battery"), False),
        ("MCCGQ02HL", "door/window sensor", ("opening", "light", "battery"), True),
        ("XMTZC05HM", "scale", ("mass", "impedance"), True),
        ("RTCGQ02LM", "motion sensor", ("motion", "idle_time", "battery"), True),
    )
    spans = {
        "temperature": (-5, 30), "humidity": (30, 80), "battery": (5, 100), "moisture": (5, 70),
        "conductivity": (50, 2000), "illuminance": (0, 62000), "mass": (50, 90), "impedance": (400, 600),
        "idle_time": (60, 1800),
    }  # fmt: skip
    made = []
    for k in range(devices):
        model, kind, quantities, sleepy = kinds[k % 5]
        name = HOSTILE[k] if k < len(HOSTILE) else f"{ROOMS[k % 10]} {kind} {k}"
        age = chance.uniform(0, 600) if k % 23 else 40_000.0
        values: dict[str, Any] = {
            quantity: (round(chance.uniform(*spans[quantity]), 1), NOW - age)
            if quantity in spans
            else (chance.random() < 0.5, NOW - age)
            for quantity in quantities
        }
        if "battery" in values:
            values["battery"] = (round(values["battery"][0]), NOW - age)
        heard = [
            Heard(node.name, node.room, round(chance.uniform(-98, -52), 1), chance.uniform(0, 90), chance.random(), 0)
            for node in chance.sample(nodes, min(len(nodes), chance.randrange(1, 9)))
        ]
        made.append(
            device(
                mac=0xA4C138000000 + k,
                name=name,
                model=model,
                kind=kind,
                room=nodes[k % len(nodes)].room if k % 13 else None,
                available=sleepy or age < 900,
                heard_age=age,
                sleepy=sleepy,
                listed=k % 6 != 5,
                key=[KeyState.VERIFIED, KeyState.NOT_NEEDED, KeyState.VERIFIED, KeyState.MISSING, KeyState.WAITING][
                    k % 5
                ]
                if k not in {11, 20}
                else (KeyState.MISSING if k == 11 else KeyState.WRONG),  # 11 has no entry
                trust=["authenticated", "claimed", "authenticated", "claimed", "encrypted"][k % 5],
                values=values if k != 11 else {},
                heard=heard,
                readable=model == "HHCCJCY01",
            )
        )
    return view(made, nodes + _troubled())


def coverage_of(view: View) -> Callable[[], Awaitable[Coverage]]:
    """The coverage of a large house: every seventh proxy hears nothing, and every third device depends on one proxy."""
    nodes = {node.name: node.room for node in view.proxies() if node.state is not ProxyState.NOT_ACCEPTED}
    deaf = set(list(nodes)[::7])
    devices = view.devices()
    rows = []
    for listed in devices:
        heard = [one for one in listed.heard if one.proxy not in deaf]
        for k, one in enumerate(heard):
            alone = 1000 if len(heard) == 1 else 600 if k == 0 and listed.mac % 3 == 0 else 0
            rows.append(Reception(one.proxy, listed.mac, 0, max(alone, int(1000 * one.share)), alone, 1000))
    names = {one.mac: one.name for one in devices}
    report = coverage(rows, nodes, names, [one.mac for one in devices if one.listed], 168.0)

    async def action() -> Coverage:
        return report

    return action


def year_of_readings(mac: int, until: float, step: float) -> Iterator[Reading]:
    """A plant's readings of a year up to ``until``: seasons, days, watering, and two weeks of silence."""
    chance = random.Random(mac)
    moisture = 40.0
    for k in range(int(365 * 86_400 / step)):
        time = until - 365 * 86_400 + k * step
        day = (time % 86_400) / 86_400
        season = math.sin((time / 86_400 / 365.25 - 0.22) * 2 * math.pi)
        moisture = 55.0 if moisture < 14 else moisture - step / 86_400 * 4
        if 120 < (until - time) / 86_400 < 134 or 0.3 < (until - time) / 86_400 < 0.42:
            continue
        light = max(0.0, math.sin((day - 0.25) * 2 * math.pi)) * (9000 + 7000 * season) * chance.uniform(0.5, 1)
        values = {
            "temperature": round(14 + 9 * season + 4 * math.sin((day - 0.3) * 2 * math.pi) + chance.gauss(0, 0.4), 1),
            "moisture": round(moisture),
            "conductivity": round(300 + moisture * 9 + chance.gauss(0, 15)),
            "illuminance": round(light),
        }
        if k % 24 == 0:
            values["battery"] = round(100 - k * step / 86_400 / 8)
        yield reading(time=time, mac=mac, model="HHCCJCY01", trust="claimed", source="advertisement", values=values)
