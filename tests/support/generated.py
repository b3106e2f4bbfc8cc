"""Files that are made from the tables of the program: the discovery of every model, and the device table of the docs.

``python tests/regenerate.py`` writes them; tests compare them with what is in the repository.
"""

import json
import re
from pathlib import Path
from typing import Any

from proxy_listener.formats import PRODUCTS
from proxy_listener.model.events import EventKind
from proxy_listener.model.models import Model
from proxy_listener.model.quantities import Quantity
from proxy_listener.model.timing import DAY
from proxy_listener.sinks.mqtt.discovery import Subject, device_payload
from proxy_listener.sinks.mqtt.freshness import lifetime
from proxy_listener.sinks.mqtt.topics import Topics

ROOT = Path(__file__).parents[2]
DISCOVERY = ROOT / "tests" / "data" / "homeassistant.json"
COMMAND = "python tests/regenerate.py"

MAC = 0xA4C1380283F4
ROOMS = ("Bedroom", "Kitchen")
TOPICS = Topics("proxy-listener", "homeassistant")

BY_NAME = {model.name: model for model in PRODUCTS}
"""A device's model name decides what it is announced as; product ids that share one announce the same."""

HEAD = "| model | what it is | product id | encryption | sends |\n| --- | --- | --- | --- | --- |"
BEGIN, END = "<!-- devices: made by tests/regenerate.py -->", "<!-- devices end -->"


def subject(model: Model) -> Subject:
    """A device of the model that has sent nothing yet; one with a reader is read once a day."""
    quantities = (*model.quantities, *model.read_quantities)
    ways = (DAY if model.reader else None if model.sleepy else model.interval,)
    lifetimes = {quantity.name: lifetime(quantity, ways) for quantity in quantities}
    return Subject(
        MAC,
        "Bedroom thing",
        model.name,
        model.kind,
        model.maker,
        quantities,
        model.events,
        {name: seconds for name, seconds in lifetimes.items() if seconds is not None},
    )


def payload(model: Model) -> dict[str, Any]:
    """The discovery of such a device, without the version of this program."""
    found: dict[str, Any] = json.loads(device_payload(subject(model), ROOMS, TOPICS))
    del found["o"]["sw"]
    return found


def discovery() -> str:
    """The discovery of all models as JSON, an entity a line."""
    models = []
    for name, model in sorted(BY_NAME.items()):
        found = payload(model)
        entities = ",\n".join(f"   {_json(key)}: {_json(entity)}" for key, entity in found["cmps"].items())
        lines = [f"  {_json(key)}: {_json(value)}" for key, value in found.items() if key != "cmps"]
        lines.append(f'  "cmps": {{\n{entities}\n  }}')
        models.append(f" {_json(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(models) + "\n}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def device_table() -> str:
    """A row a model, ids of one model together; then the names of those that are known to send standard objects."""
    rows: dict[tuple[str, str], list[Model]] = {}
    for model in PRODUCTS:
        if sends(model):
            rows.setdefault((model.name, model.kind), []).append(model)
    lines = [HEAD]
    for (name, kind), models in sorted(rows.items(), key=lambda item: item[0][0].casefold()):
        ids = ", ".join(f"0x{model.product_id:04X}" for model in models if model.product_id is not None) or "-"
        lines.append(f"| {name} | {kind} | {ids} | {models[0].encryption} | {sends(models[0])} |")
    further = ", ".join(sorted({model.name for model in PRODUCTS if not sends(model)}, key=str.casefold))
    return "\n".join([*lines, "", f"Of these the standard objects are decoded: {further}."])


def sends(model: Model) -> str:
    """What a model sends, in words: ``temperature, humidity; events: button; by reading it: battery``."""
    parts = [", ".join(map(_quantity, model.quantities))]
    if model.events:
        parts.append(_events(model.events))
    if model.read_quantities:
        parts.append("by reading it: " + ", ".join(map(_quantity, model.read_quantities)))
    return "; ".join(part for part in parts if part)


def _quantity(quantity: Quantity) -> str:
    name = quantity.name.replace("_", " ")
    return f"{name} (yes or no)" if quantity.form == "flag" and quantity.flag_class is not None else name


def _events(kinds: tuple[EventKind, ...]) -> str:
    buttons = [kind.name.removeprefix("button_") for kind in kinds if kind.name.startswith("button_")]
    others = [kind.name for kind in kinds if not kind.name.startswith("button_")]
    found = ["events: " + ", ".join(others)] if others else []
    found += ["buttons: " + ", ".join(buttons)] if buttons else []
    return "; ".join(found).replace("_", " ")


def wanted() -> dict[Path, str]:
    """Every generated file -> its text as it should be."""
    found = {DISCOVERY: discovery()}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text()
        if BEGIN in text:
            found[path] = re.sub(
                f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})",
                lambda _: device_table() + "\n",
                text,
                flags=re.DOTALL,
            )
    return found


def stale() -> list[Path]:
    """Those that are not as they should be."""
    return [path for path, text in wanted().items() if not path.exists() or path.read_text() != text]
