"""The table of routes and the attrs classes of the house -> an OpenAPI 3.1 description.

The rule of this file: what can be derived is derived, so that the description cannot say anything else than the code.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
from aiohttp import web

from proxy_listener import __version__
from proxy_listener.history import Storage
from proxy_listener.model.advertisement import ADDRESS_TYPES
from proxy_listener.model.reading import Value
from proxy_listener.model.status import DeviceStatus, Heard, ProxyStatus
from proxy_listener.web.documents import Document

JSON, LINES, SSE = "application/json", "application/x-ndjson", "text/event-stream"
TEXT, HTML = "text/plain", "text/html"


@attrs.frozen
class Route:
    """One route. ``media`` is what a success answers with, ``schema`` the name of its schema, ``query`` and ``body``
    what it takes (names of what is described here). Those without a summary are the page, not the API.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str = ""
    media: str = JSON
    schema: str | None = None
    query: tuple[str, ...] = ()
    body: str | None = None


CLASSES = (ProxyStatus, DeviceStatus, Heard, Storage)

SIMPLE = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null"}

MAC = {"type": "string", "pattern": "^([0-9A-F]{2}:){5}[0-9A-F]{2}$"}
TIME = {"type": "string", "format": "date-time"}
VALUE = {"type": ["boolean", "number", "string"]}
SHARES = {"type": "object", "additionalProperties": {"type": "number"}}
COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}

OVERRIDES: Mapping[tuple[type, str], Document] = {
    (ProxyStatus, "mac"): {"oneOf": [MAC, {"type": "null"}]},
    (DeviceStatus, "mac"): MAC,
    (DeviceStatus, "values"): {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/LatestValue"}},
    (Heard, "address_type"): {"enum": [*ADDRESS_TYPES, None]},
}
"""Fields whose form as JSON is another than in memory."""


ADDED: Mapping[type, Document] = {
    DeviceStatus: {"event": {"oneOf": [{"$ref": "#/components/schemas/LastEvent"}, {"type": "null"}]}},
}
"""What a listing has beside the fields of its class."""


def _object(required: Mapping[str, Document], **more: Any) -> Document:
    return {"type": "object", "properties": dict(required), "required": list(required), **more}


WRITTEN: Mapping[str, Document] = {
    "LatestValue": _object({"value": VALUE, "time": TIME, "age": {"type": "number", "description": "seconds"}}),
    "LastEvent": _object(
        {**{name: {"type": "string"} for name in ("event", "type")}, "time": TIME, "age": {"type": "number"}},
        additionalProperties=VALUE,
    ),
    "Units": {"type": "object", "additionalProperties": {"type": "string"}},
    "Status": _object(
        {
            "version": {"type": "string"},
            "pid": {"type": "integer"},
            "uptime": {"type": "number"},
            "storage": {"$ref": "#/components/schemas/Storage"},
            "outcomes": COUNTS,
            "skipped": COUNTS,
            "proxies": {"type": "array", "items": {"$ref": "#/components/schemas/ProxyStatus"}},
        }
    ),
    "Reading": _object(
        {
            "time": TIME,
            "mac": MAC,
            **{name: {"type": "string"} for name in ("name", "model", "source", "proxy", "room")},
            "rssi": {"type": ["integer", "null"]},
            "counter": {"type": ["integer", "null"]},
            "trust": {"enum": ["authenticated", "encrypted", "claimed"]},
            "late": {"type": "boolean"},
            "values": {"type": "object", "additionalProperties": VALUE},
            "events": {"type": "array", "items": _object({"event": {"type": "string"}, "type": {"type": "string"}})},
        }
    ),
    "Series": _object(
        {
            "since": {"type": "number"},
            "until": {"type": "number"},
            "width": {"type": "number", "description": "seconds of a bucket"},
            "series": {
                "type": "object",
                "additionalProperties": {
                    "type": "array",
                    "items": {
                        "description": "time in seconds since 1970, least, mean, greatest",
                        "type": "array",
                        "items": {"type": "number"},
                        "minItems": 4,
                        "maxItems": 4,
                    },
                },
            },
        }
    ),
    "Candidate": _object(
        {
            **{name: {"type": "string"} for name in ("proxy", "room", "reason")},
            **{name: {"type": "boolean"} for name in ("eligible", "busy", "chosen")},
            **{name: {"type": ["number", "null"]} for name in ("score", "rssi", "heard_age")},
            **{name: {"type": ["integer", "null"]} for name in ("slots_free", "slots_limit")},
            "failures": {"type": "number"},
        }
    ),
    "ReadRequest": {"type": "object", "properties": {"history": {"type": "boolean"}}, "additionalProperties": False},
    "ReadLine": {
        "oneOf": [
            _object({"progress": {"$ref": "#/components/schemas/Progress"}}),
            _object({"result": {"$ref": "#/components/schemas/ReadReport"}}),
        ]
    },
    "Progress": _object(
        {
            "step": {"type": "string"},
            "proxy": {"type": ["string", "null"]},
            "done": {"type": "integer", "description": "log entries"},
            "total": {"type": "integer", "description": "log entries; 0 where the step is not countable"},
        }
    ),
    "Attempt": _object({"proxy": {"type": "string"}, "ok": {"type": "boolean"}, "detail": {"type": "string"}}),
    "ReadReport": _object(
        {
            "ok": {"type": "boolean"},
            "detail": {"type": "string"},
            "attempts": {"type": "array", "items": {"$ref": "#/components/schemas/Attempt"}},
            "values": {"type": "object", "additionalProperties": VALUE},
        }
    ),
    "Capture": _object(
        {
            "time": {"type": "number"},
            "proxy": {"type": "string"},
            "mac": MAC,
            "address_type": {"enum": list(ADDRESS_TYPES)},
            "rssi": {"type": "integer"},
            "data": {"type": "string", "description": "the advertising payload in hex"},
        }
    ),
    "Coverage": _object(
        {
            "hours": {"type": "number", "description": "of the record that was looked at"},
            "devices": {"type": "array", "items": {"$ref": "#/components/schemas/DeviceCoverage"}},
            "proxies": {"type": "array", "items": {"$ref": "#/components/schemas/ProxyCoverage"}},
            "unheard": {"type": "array", "items": MAC},
        }
    ),
    "DeviceCoverage": _object(
        {
            "mac": MAC,
            "name": {"type": "string"},
            "frames": {"type": "integer"},
            "shares": {**SHARES, "description": "proxy -> share of the frames that it heard"},
            "only": {"type": ["string", "null"], "description": "the one proxy that hears it"},
        }
    ),
    "ProxyCoverage": _object(
        {
            **{name: {"type": "string"} for name in ("proxy", "room")},
            **{name: {"type": "integer"} for name in ("frames", "alone", "devices")},
            "lost_without": {**SHARES, "description": "MAC -> share of the frames that no other proxy heard"},
            **{name: {"type": "boolean"} for name in ("adds_nothing", "hears_nothing")},
        }
    ),
    "Health": _object({"ok": {"type": "boolean"}, "cause": {"type": "string"}}),
    "OpenAPI": {"type": "object"},
    "Error": _object({"error": {"type": "integer"}, "message": {"type": "string"}}),
}

PARAMETERS: Mapping[str, Document] = {
    "since": {"description": "from here on: ISO 8601, or seconds since 1970", "schema": {"type": "string"}},
    "until": {"description": "before this: ISO 8601, or seconds since 1970", "schema": {"type": "string"}},
    "limit": {"description": "at most so many, the newest", "schema": {"type": "integer", "minimum": 1}},
    "points": {"description": "buckets of a curve", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    "quantity": {
        "description": "a quantity, more than once for several; without it all that are numbers",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    "events": {"description": "only readings that have events", "schema": {"enum": ["true", "false"]}},
    "mac": {"description": "of this device only", "schema": {"type": "string"}},
}


def _schema(annotation: Any) -> Document:
    """A type of an attrs field, as JSON Schema."""
    if annotation == Value:
        return VALUE
    if annotation in SIMPLE:
        return {"type": SIMPLE[annotation]}
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return {"type": [SIMPLE[arg] for arg in args]}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": {} if args[1] is Any else _schema(args[1])}
    if origin is not None and issubclass(origin, Sequence):
        return {"type": "array", "items": _schema(args[0])}
    if issubclass(annotation, StrEnum):
        return {"enum": [member.value for member in annotation]}
    return {"$ref": f"#/components/schemas/{annotation.__name__}"}


def _class_schema(cls: type[attrs.AttrsInstance]) -> Document:
    hints = get_type_hints(cls)
    names = [field.name for field in attrs.fields(cls) if not field.metadata.get("internal")]
    fields = {name: OVERRIDES.get((cls, name)) or _schema(hints[name]) for name in names}
    return _object(fields | ADDED.get(cls, {}))


def _reference(name: str) -> Document:
    bare = name.strip("[]")
    reference = {"$ref": f"#/components/schemas/{bare}"}
    return {"type": "array", "items": reference} if name != bare else reference


def _parameters(path: str, query: Sequence[str]) -> list[Document]:
    found: list[Document] = []
    if "{mac}" in path:
        found.append({"name": "mac", "in": "path", "required": True, "schema": {"type": "string"}})
    return found + [{"name": name, "in": "query", **PARAMETERS[name]} for name in query]


@cache
def document(routes: tuple[Route, ...]) -> Document:
    """The whole description of an API with these routes."""
    paths: dict[str, Document] = {}
    for route in routes:
        if not route.summary:
            continue
        content: Document = {"schema": _reference(route.schema)} if route.schema else {}
        error = {"description": "an error", "content": {"application/json": {"schema": _reference("Error")}}}
        operation: Document = {
            "summary": route.summary,
            "responses": {"200": {"description": "success", "content": {route.media: content}}, "default": error},
        }
        if parameters := _parameters(route.path, route.query):
            operation["parameters"] = parameters
        if route.body:
            operation["requestBody"] = {"content": {"application/json": {"schema": _reference(route.body)}}}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "proxy-listener", "version": __version__},
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**{cls.__name__: _class_schema(cls) for cls in CLASSES}, **WRITTEN},
        },
    }
