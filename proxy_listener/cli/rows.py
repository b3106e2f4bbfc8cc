"""Documents of the API in, cells of a table and words for people out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from proxy_listener.cli.output import age, cell
from proxy_listener.model.quantities import row_of

PROXY_HEAD = ("proxy", "room", "state", "address", "adv/s", "heard", "slots", "wifi", "version", "up")
DEVICE_HEAD = ("device", "mac", "model", "room", "heard", "key", "values")
NEWCOMER_HEAD = ("mac", "model", "frames", "room", "rssi", "heard for", "heard", "why not yet")
ROUTE_HEAD = ("proxy", "room", "rssi", "heard", "score", "slots", "reason")
PROXY_COVERAGE_HEAD = ("proxy", "room", "devices", "frames", "lost without it")
DEVICE_COVERAGE_HEAD = ("device", "mac", "frames", "heard by")
HISTORY_HEAD = ("time", "from", "proxy", "rssi", "values")

SOURCES = {"advertisement": "heard", "read": "read", "history": "its log"}
"""A reading's source, in short."""

FIRST = ("temperature", "humidity", "moisture", "conductivity", "illuminance", "mass")
"""Quantities that are shown first; the others follow by name."""

DETAILS = ("mass_non_stabilized", "stabilized", "weighing")
"""Intermediate values of a scale, which are left out of the list of devices."""

BEST = 3
"""Proxies that are named as hearing a device. ``--json`` has all of them."""

NAMED = 4
"""Devices that are named as lost without a proxy."""

NAMED_BY_UNIT = ("temperature", "illuminance", "conductivity", "mass")
"""Quantities that a short list shows without their name: no other one of a device has that unit."""

EVENT = ("event", "type", "fired", "time", "age")
"""Keys of an event that are not shown as its properties."""


def proxy_row(proxy: Mapping[str, Any]) -> list[Any]:
    """A proxy of ``/proxies`` as cells."""
    slots = None if proxy["slots_free"] is None else f"{proxy['slots_free']}/{cell(proxy['slots_limit'])}"
    wifi = None if proxy["wifi_rssi"] is None else f"{proxy['wifi_rssi']} dBm"
    return [
        proxy["name"],
        proxy["room"],
        proxy["state"].replace("_", " "),
        proxy["address"] if proxy["called_from"] is None else f"called us from {proxy['called_from']}",
        proxy["rate"],
        age(proxy["heard_age"]),
        slots,
        wifi,
        proxy["version"],
        age(proxy["uptime"]),
    ]


def shared_in_words(proxies: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where each proxy is shared, and who is connected to what through it."""
    for proxy in proxies:
        shared = proxy["shared"]
        if shared is None:
            continue
        if shared["problem"]:
            yield f"{cell(proxy['name'])} is not shared now: {cell(shared['problem'])}"
            continue
        count = len(shared["clients"])
        clients = f"{count} client{'' if count == 1 else 's'}"
        yield f"{cell(proxy['name'])} is shared as {cell(shared['name'])}, port {shared['port']}, {clients}"
        for client in shared["clients"]:
            what = ", ".join(client["links"])
            connected = f", connected to {what}" if what else ""
            lost = f", lost {client['dropped']} messages: it reads too slowly" if client["dropped"] else ""
            yield f"  {cell(client['name'])} at {client['address']} for {age(client['age'])}{connected}{lost}"


def device_row(device: Mapping[str, Any], *, short: bool = False) -> list[Any]:
    """A device of ``/devices`` as cells. ``short``: names that the unit implies are left out."""
    shown = [quantity for quantity in device["values"] if quantity not in DETAILS]
    shown.sort(key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    values = {quantity: device["values"][quantity]["value"] for quantity in shown}
    words = [values_in_words(values, short=short)] if values else []
    if device["event"]:
        words.append(f"{events_in_words([device['event']])} {age(device['event']['age'])} ago")
    if device["readable"]:
        words.append(reads_in_words(device))
    heard = age(device["heard_age"])
    if device["heard_age"] is not None and not device["available"]:
        heard += " (away)"
    return [
        device["name"],
        device["mac"],
        device["model"],
        device["room"],
        heard,
        device["key"].replace("_", " "),
        ", ".join(words),
    ]


def reads_in_words(device: Mapping[str, Any]) -> str:
    """When a device was read over a connection, and when it is read next."""
    last, due = device["read_age"], device["read_due"]
    words = "not read yet" if last is None else f"read {age(last)} ago"
    if not device["listed"]:
        return f"{words}, needs an entry"
    return f"{words}, " + ("no next" if due is None else f"next in {age(due)}" if due > 0 else "next when it can")


def newcomer_row(one: Mapping[str, Any]) -> list[Any]:
    """A device of ``/newcomers`` as cells."""
    frames = "encrypted" if one["encrypted"] else "plain"
    times = [age(one["heard_for"]), age(one["heard_age"])]
    return [one["mac"], one["model"], frames, one["room"], one["rssi"], *times, one["waits"]]


def admissions_in_words(admissions: Mapping[str, Any]) -> str:
    """How many devices wait to be admitted, and why; empty where none does."""
    count = admissions["newcomers"]
    if not count:
        return ""
    waits = "too many new devices" if admissions["full"] else "each is, once it was heard for a minute"
    return f"new devices: {count} not admitted yet ({waits}); admit lists them"


def dial_in_in_words(dial_in: Mapping[str, Any] | None) -> str:
    """What is wrong with the port that nodes call, or how many calls came to nothing; empty where all is well."""
    if dial_in is None:
        return ""
    if dial_in["error"]:
        return f"no node can call: {dial_in['listen']}: {dial_in['error']}"
    refused = dial_in["refused"]
    return f"calls that were refused at {dial_in['listen']}: {refused}; the log says why" if refused else ""


def advice_in_words(devices: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a person can do about devices, a line for each thing, with the devices' names."""
    names: dict[tuple[str, str], list[str]] = {}
    for device in devices:
        if device["advice"]:
            names.setdefault((device["cause"], device["advice"]), []).append(device["name"])
    return [f"{cause} ({_named(whose)}). {advice}" for (cause, advice), whose in names.items()]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(cell, names[:NAMED])) + more


def no_readings_in_words(device: Mapping[str, Any]) -> str:
    """Why a device of ``/devices`` has no readings within the range that was asked for."""
    if not device["cause"]:
        return cell(device["name"]) + ": no readings in this range"
    kept = device["kept"]
    waiting = f"; {kept['frames']} frames kept since {local_time(kept['since'])}" if kept else ""
    return cell(device["name"]) + f" {device['cause']}{waiting}. {device['advice']}"


def route_row(one: Mapping[str, Any]) -> list[Any]:
    """A candidate of ``/devices/{mac}/routes`` as cells. ``*`` marks the chosen one."""
    slots = None if one["slots_free"] is None else f"{one['slots_free']}/{cell(one['slots_limit'])}"
    name = ("* " if one["chosen"] else "") + one["proxy"]
    return [name, one["room"], one["rssi"], age(one["heard_age"]), one["score"], slots, one["reason"]]


def local_time(stamp: str) -> str:
    """A timestamp of the API in this machine's time zone."""
    return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def history_row(one: Mapping[str, Any]) -> list[Any]:
    """A reading as cells, with its time in this machine's time zone."""
    return [
        local_time(one["time"]),
        SOURCES[one["source"]] + (", late" if one["late"] else ""),
        one["proxy"],
        one["rssi"],
        ", ".join(words for words in (values_in_words(one["values"]), events_in_words(one["events"])) if words),
    ]


def coverage_in_words(coverage: Mapping[str, Any]) -> str:
    """Over how long and how many frames ``/coverage`` judges, and what it does not judge."""
    over = f"{coverage['frames']} frames in {age(coverage['hours'] * 3600)} of listening"
    if not coverage["judged"]:
        return f"{over}: too early to judge, which needs a day, and 100 frames of a device"
    few = sum(not device["judged"] for device in coverage["devices"])
    return over + (
        f"; {few} of {len(coverage['devices'])} devices are not judged: fewer than 100 frames" if few else ""
    )


def proxy_coverage_row(proxy: Mapping[str, Any], names: Mapping[str, str], *, judged: bool = True) -> list[Any]:
    """A proxy of ``/coverage`` as cells. ``judged``: there are frames enough for a verdict."""
    alone = {names.get(mac, mac): share for mac, share in proxy["lost_without"].items()}
    verdict = "hears nothing" if proxy["hears_nothing"] else "adds nothing"
    if not (proxy["hears_nothing"] or proxy["adds_nothing"]):
        verdict = _shares_in_words(alone, NAMED)
    if not judged:
        verdict = "too early"
    return [proxy["proxy"], proxy["room"], proxy["devices"], proxy["frames"], verdict]


def device_coverage_row(device: Mapping[str, Any]) -> list[Any]:
    """A device of ``/coverage`` as cells."""
    return [device["name"], device["mac"], device["frames"], _shares_in_words(device["shares"], BEST)]


def counts_in_words(counts: Mapping[str, int]) -> str:
    """``{"not_ours": 12}`` -> ``not ours 12``."""
    return ", ".join(f"{word.replace('_', ' ')} {number}" for word, number in counts.items())


def values_in_words(values: Mapping[str, Any], *, short: bool = False) -> str:
    """``{"temperature": 21.5}`` -> ``temperature 21.5 °C``, or in ``short`` ``21.5 °C``. Only numbers get a unit."""
    words = []
    for quantity, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        known = row_of(quantity) if number else None
        text = f"{value:.6g}" if isinstance(value, float) else cell(value)
        name = "" if short and quantity in NAMED_BY_UNIT else quantity.replace("_", " ")
        words.append(f"{name} {text} {known.unit.symbol if known else ''}".strip())
    return ", ".join(words)


def log_in_words(log: Mapping[str, Any]) -> str:
    """How the download of a device's own log ended."""
    skipped = f", {log['skipped']} unusable" if log["skipped"] else ""
    end = "" if log["complete"] else "; not complete, the next one goes on from there"
    return f"log of {log['count']} entries: {log['stored']} new, {log['known']} known{skipped}{end}"


def clock_in_words(clock: Mapping[str, Any]) -> str:
    """How the setting of a device's clock ended."""
    before, after = clock["before"], clock["after"]
    was = "" if before is None else f"; it was {_ahead(before)}"
    return f"clock set to local time{was}" + (f", and is {_ahead(after)}" if after else "")


def _ahead(seconds: int) -> str:
    return f"{abs(seconds)} s {'slow' if seconds < 0 else 'fast'}" if seconds else "right"


def events_in_words(events: Sequence[Mapping[str, Any]]) -> str:
    """``[{"event": "dimmer", "type": "rotate_left", "steps": 3}]`` -> ``dimmer rotate left (steps 3)``."""
    return ", ".join(map(_event_in_words, events))


def _event_in_words(event: Mapping[str, Any]) -> str:
    more = ", ".join(f"{name} {cell(value)}" for name, value in event.items() if name not in EVENT)
    words = f"{event['event']} {event['type']}" + (f" ({more})" if more else "")
    return words.replace("_", " ")


def _shares_in_words(of: Mapping[str, float], most: int) -> str:
    """``{"kitchen-proxy": 0.93}`` -> ``kitchen-proxy 93 %``: the greatest first, at most ``most`` of them by name."""
    greatest = sorted(of.items(), key=lambda one: -one[1])
    words = [f"{name} {share:.0%}".replace("%", "\N{NO-BREAK SPACE}%") for name, share in greatest[:most]]
    return ", ".join([*words, f"and {len(of) - most} more"] if len(of) > most else words)
