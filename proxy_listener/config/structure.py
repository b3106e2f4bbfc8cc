"""A table of ``devices.toml``, as tomllib gives it, in; its attrs class, or every fault with its place, out.

The rule of this file: strict where cattrs is obliging. It would take ``"no"`` for true and ``"abc"`` for a list of
three.
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from proxy_listener.config import fields
from proxy_listener.config.fields import Fault, FieldError, Hook, shown
from proxy_listener.config.secrets import Secrets
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import (
    DeviceSettings,
    DiscoverySettings,
    HistorySettings,
    ProxySettings,
    ServiceSettings,
    WebSettings,
)

T = TypeVar("T")


def converter_for(secrets: Secrets) -> Converter:
    """Strict where cattrs is obliging: it would take ``"no"`` for true and ``"abc"`` for a list of three."""
    converter = Converter(forbid_extra_keys=True)
    for kind, hook in {str: fields.text, int: fields.whole, bool: fields.flag, float: fields.duration}.items():
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook(Secret, secrets.secret)
    converter.register_structure_hook_func(lambda wanted: wanted == float | None, fields.duration_or_off)
    converter.register_structure_hook_func(lambda wanted: _origin(wanted) is Literal, fields.choice)
    converter.register_structure_hook_func(
        lambda wanted: _origin(wanted) is tuple,
        lambda value, wanted: fields.listed(value, lambda item: structured(converter, item, get_args(wanted)[0])),
    )
    special = _special(secrets)

    def table(wanted: Any) -> Hook:
        overrides = {
            key: override(struct_hook=hook)
            for key, hook in (_validated(converter, wanted) | special.get(wanted, {})).items()
        }
        return make_dict_structure_fn(wanted, converter, _cattrs_forbid_extra_keys=True, **overrides)  # type: ignore[arg-type]

    converter.register_structure_hook_factory(attrs.has, table)
    return converter


def _validated(converter: Converter, table: Any) -> dict[str, Hook]:
    """The keys of a sink's table that have an attrs validator: asked here, so that its error has the key's place."""

    def hook(field: "attrs.Attribute[Any]") -> Hook:
        def structure(value: Any, _: Any) -> Any:
            found = structured(converter, value, field.type)  # type: ignore[arg-type]
            assert field.validator is not None
            field.validator(None, field, found)
            return found

        return structure

    return {
        field.name: hook(field) for field in attrs.fields(attrs.resolve_types(table)) if field.validator is not None
    }


def _origin(wanted: Any) -> Any:
    return get_origin(wanted)


def _special(secrets: Secrets) -> dict[type, dict[str, Hook]]:
    """The keys whose meaning is narrower than their type."""

    def each(hook: Callable[[Any, Any], T]) -> Callable[[Any, Any], tuple[T, ...]]:
        return lambda value, wanted: fields.listed(value, lambda item: hook(item, wanted))

    at_least = partial(fields.within, high=fields.LONGEST)
    names = each(fields.label)
    return {
        ServiceSettings: {"coalesce": fields.within(fields.duration, 0, 10, 'expected at most "10s"')},
        DiscoverySettings: {"noise_psk": secrets.noise_psk, "interfaces": each(fields.ip_address)},
        ProxySettings: {
            "name": fields.label,
            "mac": fields.mac,
            "room": fields.label,
            "noise_psk": secrets.noise_psk,
            "host": fields.label,
            "port": fields.within(fields.whole, 1, 65_535, "expected a port, 1 to 65535"),
        },
        DeviceSettings: {
            "mac": fields.mac,
            "name": fields.label,
            "bindkey": secrets.bindkeys,
            "prefer": names,
            "only": names,
            "avoid": names,
            "read": at_least(fields.duration_or_off, 1, expected='expected at least "1s", or "off"'),
            "read_limit": fields.within(fields.whole, 0, 10_000, "expected 0 to 10000 connections a day"),
        },
        HistorySettings: {
            "keep": at_least(fields.duration, 1, expected='expected at least "1s"'),
            "max_size": fields.within(fields.size, 10**8, 10**15, 'expected "100MB" to "1000TB"'),
        },
        WebSettings: {"listen": fields.listen, "hosts": names},
    }


def structured(converter: Converter, value: Any, wanted: type[T]) -> T:
    """``converter.structure``, all its faults as one FieldError."""
    if attrs.has(wanted) and not isinstance(value, dict):
        raise fields.wrong(f"expected a table, found {fields.kind(value)}")
    try:
        return converter.structure(value, wanted)
    except Exception as error:  # noqa: BLE001  a sink's own validators may raise what they like
        raise FieldError(*_faults(error, wanted)) from None


def _faults(error: BaseException, wanted: Any) -> list[Fault]:
    """The tree of cattrs's exceptions -> places and texts."""
    if isinstance(error, FieldError):
        return list(error.faults)
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(wanted)]
        return [(f".{shown(key)}", unknown(key, known)) for key in sorted(error.extra_fields)]
    if not isinstance(error, ClassValidationError):
        return [("", shown(str(error.args[0])) if error.args else "not accepted")]
    found: list[Fault] = []
    with_notes, without = error.group_exceptions()
    for inner, note in with_notes:
        if isinstance(inner, KeyError):
            found.append((f".{note.name}", "missing, and has no default"))
        else:
            found.extend((f".{note.name}{place}", text) for place, text in _faults(inner, note.type))
    for inner in without:
        found.extend(_faults(inner, wanted))
    return found


def unknown(key: str, known: Iterable[str]) -> str:
    """What to say of a key that is none of ``known``."""
    return "unknown key" + (meant(key, known) or f", expected one of: {', '.join(sorted(known))}")


def meant(word: str, known: Iterable[str]) -> str:
    """The one of ``known`` that ``word`` is a slip of, as the end of a sentence; nothing where none is near."""
    close = get_close_matches(word.lower(), known, 1)
    return f', did you mean "{close[0]}"?' if close else ""
