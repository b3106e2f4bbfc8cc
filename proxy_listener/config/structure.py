"""The cattrs converter that turns a table of ``devices.toml``, as tomllib gives it, into its attrs class.

cattrs itself is lenient: it takes ``"no"`` for true and ``"abc"`` for a list of three. The functions of
:mod:`proxy_listener.config.fields` are strict.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from proxy_listener.config import fields
from proxy_listener.config.fields import Hook
from proxy_listener.config.secrets import Secrets
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import (
    DeviceSettings,
    DiscoverySettings,
    HistorySettings,
    ProxySettings,
    ServiceSettings,
    ShareSettings,
    WebSettings,
)

T = TypeVar("T")


def converter_for(secrets: Secrets) -> Converter:
    """The converter of one configuration, whose secrets are read by ``secrets``."""
    converter = Converter()
    for kind, hook in {str: fields.text, int: fields.whole, bool: fields.flag, float: fields.duration}.items():
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook(Secret, secrets.secret)
    converter.register_structure_hook_func(lambda wanted: wanted == float | None, fields.duration_or_off)
    converter.register_structure_hook_func(lambda wanted: _origin(wanted) is Literal, fields.choice)
    converter.register_structure_hook_func(
        lambda wanted: _origin(wanted) is tuple,
        lambda value, wanted: fields.listed(value, lambda item: converter.structure(item, get_args(wanted)[0])),
    )
    narrower = _narrower(secrets)

    def table(wanted: Any) -> Hook:
        hooks = _validated(converter, wanted) | narrower.get(wanted, {})
        overrides = {key: override(struct_hook=hook) for key, hook in hooks.items()}
        return make_dict_structure_fn(wanted, converter, **overrides)  # type: ignore[arg-type]

    converter.register_structure_hook_factory(attrs.has, table)
    return converter


def _validated(converter: Converter, table: Any) -> dict[str, Hook]:
    """The keys of a sink's table that have an attrs validator. It runs here, so that cattrs knows its error's key."""

    def hook(field: "attrs.Attribute[Any]") -> Hook:
        def structure(value: Any, _: Any) -> Any:
            found = converter.structure(value, field.type)  # type: ignore[arg-type]
            assert field.validator is not None
            field.validator(None, field, found)
            return found

        return structure

    return {
        field.name: hook(field) for field in attrs.fields(attrs.resolve_types(table)) if field.validator is not None
    }


def _origin(wanted: Any) -> Any:
    return get_origin(wanted)


def _narrower(secrets: Secrets) -> dict[type, dict[str, Hook]]:
    """The keys that take less than their type allows."""

    def each(hook: Callable[[Any, Any], T]) -> Callable[[Any, Any], tuple[T, ...]]:
        return lambda value, wanted: fields.listed(value, lambda item: hook(item, wanted))

    at_least = partial(fields.within, high=fields.LONGEST)
    names = each(fields.label)
    return {
        ServiceSettings: {"coalesce": fields.within(fields.duration, 0, 10, 'expected at most "10s"')},
        DiscoverySettings: {
            "noise_psk": secrets.noise_psk,
            "interfaces": each(fields.ip_address),
            "dial_in": fields.listen,
        },
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
            "commit": fields.within(fields.duration, 0, 60, 'expected at most "60s"'),
            "max_size": fields.within(fields.size, 10**8, 10**15, 'expected "100MB" to "1000TB"'),
        },
        ShareSettings: {
            "listen": fields.ip_address,
            "noise_psk": secrets.noise_psk,
            "port": fields.within(fields.whole, 1024, 65_000, "expected a port, 1024 to 65000"),
            "proxies": names,
            "clients": fields.within(fields.whole, 1, 100, "expected 1 to 100"),
        },
        WebSettings: {"listen": fields.listen, "hosts": names},
    }
