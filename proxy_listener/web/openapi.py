"""The table of routes and the types of their answers -> an OpenAPI 3.1 description.

Every schema is derived from an attrs class or a TypedDict, so the description cannot differ from the code. What the
API changes on the way to JSON (a MAC becomes text) is listed in ``BY_NAME``, ``BY_FIELD`` and ``LEFT_OUT``.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import attrs
from aiohttp import web

from proxy_listener import __version__
from proxy_listener.model.advertisement import ADDRESS_TYPES
from proxy_listener.model.reading import Reading
from proxy_listener.model.status import DeviceStatus, Heard, ProxyStatus
from proxy_listener.web.documents import (
    Document,
    Error,
    EventFields,
    KeptFrames,
    LastEvent,
    LatestValue,
    Mac,
    Time,
    internal_fields,
)

JSON, LINES, SSE = "application/json", "application/x-ndjson", "text/event-stream"
TEXT, HTML = "text/plain", "text/html"


@attrs.frozen
class ApiRoute:
    """One route. A route without a summary belongs to the page and is not described.

    ``media`` and ``returns`` are the content type and the type of a successful answer (of one line for ``LINES``),
    ``query`` names parameters of ``PARAMETERS``, ``body`` is the type of the request's JSON.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str = ""
    media: str = JSON
    returns: Any = None
    query: tuple[str, ...] = ()
    body: Any = None


SIMPLE: Mapping[Any, Document] = {
    Any: {},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    NoneType: {"type": "null"},
}

BY_NAME: Mapping[str, Any] = {"mac": Mac, "unheard": Sequence[Mac]}
"""The JSON type of fields with these names, in every class."""

BY_FIELD: Mapping[tuple[type, str], Any] = {
    (ProxyStatus, "mac"): Mac | None,
    (DeviceStatus, "values"): Mapping[str, LatestValue],
    # Not fields of the class: the API adds them.
    (DeviceStatus, "event"): LastEvent | None,
    (DeviceStatus, "kept"): KeptFrames | None,
    (DeviceStatus, "cause"): str,
    (DeviceStatus, "advice"): str,
    (Heard, "address_type"): Literal[*ADDRESS_TYPES] | None,
    (Reading, "time"): Time,
    (Reading, "events"): Sequence[EventFields],
}
"""The JSON type of these fields, where it is not the type in memory."""

LEFT_OUT = {(Reading, name) for name in ("fires", "stale", "identity")}
"""Fields that are not part of the JSON."""

PARAMETERS: Mapping[str, Document] = {
    "since": {"description": "from this time: ISO 8601, or seconds since 1970", "schema": {"type": "string"}},
    "until": {"description": "before this time: ISO 8601, or seconds since 1970", "schema": {"type": "string"}},
    "limit": {"description": "at most this many, the newest", "schema": {"type": "integer", "minimum": 1}},
    "points": {"description": "buckets of a curve", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    "quantity": {
        "description": "a quantity; may be repeated; without it all that are numbers",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    "events": {"description": "only readings that have events", "schema": {"enum": ["true", "false"]}},
    "mac": {"description": "only this device", "schema": {"type": "string"}},
}


def _is_record(annotation: Any) -> bool:
    return is_typeddict(annotation) or attrs.has(annotation)


def _fields(record: type) -> dict[str, Any]:
    """Field -> its type in JSON."""
    added = {name: hint for (owner, name), hint in BY_FIELD.items() if owner is record}
    hints = {name: BY_NAME.get(name, hint) for name, hint in get_type_hints(record, include_extras=True).items()}
    left_out = {name for owner, name in LEFT_OUT if owner is record} | internal_fields(record)
    return {name: hint for name, hint in (hints | added).items() if name not in left_out}


def _records(annotation: Any) -> Iterator[type]:
    """The classes that a type consists of, each before those of its fields."""
    if _is_record(annotation):
        yield annotation
    for part in _fields(annotation).values() if _is_record(annotation) else get_args(annotation):
        yield from _records(part)


def _schema(annotation: Any) -> Document:
    """A type as JSON Schema."""
    if annotation in SIMPLE:
        return dict(SIMPLE[annotation])
    if _is_record(annotation):
        return {"$ref": f"#/components/schemas/{annotation.__name__}"}
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _schema(args[0]) | dict(args[1:])
    if origin is Literal:
        return {"enum": list(args)}
    if origin in {Union, UnionType}:
        parts = [_schema(arg) for arg in args]
        plain = all(part.keys() == {"type"} for part in parts)
        return {"type": [part["type"] for part in parts]} if plain else {"oneOf": parts}
    if issubclass(origin or annotation, StrEnum):
        return {"enum": [str(member) for member in annotation]}
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(args[1])}
    return {"type": "array", "items": _schema(args[0])}


def _record_schema(record: type) -> Document:
    fields = _fields(record)
    described: Document = {
        "type": "object",
        "properties": {name: _schema(hint) for name, hint in fields.items()},
        "required": [name for name in fields if name in getattr(record, "__required_keys__", fields)],
    }
    if is_typeddict(record):  # an attrs class's docstring describes the values in memory
        described["description"] = inspect.cleandoc(record.__doc__ or "").replace("\n", " ")
    return described


def _operation(route: ApiRoute) -> Document:
    success = {} if route.returns is None else {"schema": _schema(route.returns)}
    operation: Document = {
        "summary": route.summary,
        "responses": {
            "200": {"description": "success", "content": {route.media: success}},
            "default": {"description": "an error", "content": {JSON: {"schema": _schema(Error)}}},
        },
    }
    parameters = [{"name": name, "in": "query", **PARAMETERS[name]} for name in route.query]
    if "{mac}" in route.path:
        parameters.insert(0, {"name": "mac", "in": "path", "required": True, "schema": {"type": "string"}})
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"content": {JSON: {"schema": _schema(route.body)}}}
    return operation


@cache
def description(routes: tuple[ApiRoute, ...]) -> Document:
    """The description of an API with these routes."""
    described = [route for route in routes if route.summary]
    paths: dict[str, Document] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    types = [Error, *(route.returns for route in described), *(route.body for route in described)]
    records = {record.__name__: record for annotation in types for record in _records(annotation)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "proxy-listener", "version": __version__},
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: _record_schema(record) for name, record in records.items()},
        },
    }
