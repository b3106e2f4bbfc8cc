"""``devices.toml`` in, a frozen :class:`Config` out, or one ConfigError with everything that is wrong in it.

A problem's place is ``file: table.key``. Entries of ``[[proxy]]`` and ``[[device]]`` and items of lists count from 1,
as a reader of the file counts them: ``devices.toml: device[2].bindkey`` is the key of the second ``[[device]]``. The
rule of this file: no message repeats a value, and all problems are told at once.
"""

import importlib
import pkgutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from cattrs import Converter

from proxy_listener import sinks
from proxy_listener.config import fields
from proxy_listener.config.fields import FieldError, shown
from proxy_listener.config.places import NAME
from proxy_listener.config.secrets import Secrets, refuse_readable
from proxy_listener.config.structure import converter_for, meant, structured, unknown
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import ConfigError, Problem
from proxy_listener.model.settings import (
    DeviceSettings,
    DevicesSettings,
    DiscoverySettings,
    HistorySettings,
    ProxySettings,
    ServiceSettings,
    WebSettings,
)
from proxy_listener.model.text import loopback, split_endpoint

T = TypeVar("T")

TABLES = ("service", "discovery", "proxy", "device", "devices", "history", "sink", "web")

EXTRAS = {"aiomqtt": "mqtt", "paho": "mqtt", "prometheus_client": "metrics"}
"""Import name of an optional package -> the extra of this project that brings it."""


@attrs.frozen
class Config:
    """All of ``devices.toml``. ``sinks`` holds each configured sink's own Settings by the name of its module.

    ``Config()`` is what an empty file says, except for its sinks. No secret shows in the repr.
    """

    service: ServiceSettings = attrs.field(factory=ServiceSettings)
    discovery: DiscoverySettings = attrs.field(factory=DiscoverySettings)
    proxies: tuple[ProxySettings, ...] = ()
    devices: tuple[DeviceSettings, ...] = ()
    unlisted: DevicesSettings = attrs.field(factory=DevicesSettings)
    history: HistorySettings = attrs.field(factory=HistorySettings)
    sinks: Mapping[str, Any] = attrs.field(factory=dict)
    web: WebSettings = attrs.field(factory=WebSettings)
    path: Path | None = None


def load(path: Path) -> Config:
    """Read and check ``path``. ConfigError holds every problem found."""
    document = _parse(path)
    secrets = Secrets(path.parent)
    reader = _Reader(path.name, converter_for(secrets), [])
    config = reader.config(document, path)
    if secrets.literal:
        try:
            refuse_readable(path, "holds secrets")
        except FieldError as error:
            reader.problems.insert(0, Problem(path.name, str(error)))
    if reader.problems:
        raise ConfigError(reader.problems)
    return config


def doubts(config: Config) -> list[Problem]:
    """What may be meant but probably is not: told by ``check``, no reason not to run."""
    found: list[Problem] = []
    file = config.path.name if config.path else NAME
    known = {proxy.name for proxy in config.proxies}
    for index, device in enumerate(config.devices, 1):
        for key in ("prefer", "only", "avoid"):
            for name in getattr(device, key):
                if name not in known:
                    text = f'no [[proxy]] is named "{shown(name)}"; the name of a node found by mDNS works too'
                    found.append(Problem(f"{file}: device[{index}].{key}", text + meant(name, known)))
    keyed = config.discovery.accept == "keyed" and config.discovery.noise_psk is not None
    if not config.proxies and not keyed and config.discovery.accept != "all":
        text = "without [[proxy]] entries or a noise_psk no proxy is accepted; discover shows what could be"
        found.append(Problem(f"{file}: discovery.accept", text))
    return found


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError([Problem(shown(str(path)), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(f"{path.name}: line {line}", "not UTF-8 text")]) from None
    except tomllib.TOMLDecodeError as error:
        text, _, where = str(error).removesuffix(")").rpartition(" (at ")
        raise ConfigError([Problem(f"{path.name}: {where}", f"not TOML: {shown(text)}")]) from None


@attrs.define
class _Reader:
    """Reads table after table and collects what is wrong."""

    file: str
    converter: Converter
    problems: list[Problem]

    def config(self, document: dict[str, Any], path: Path) -> Config:
        for key in document:
            if key not in TABLES:
                self.problem(shown(key), unknown(key, TABLES).replace("key", "table", 1))
        proxies = self.entries(document, "proxy", ProxySettings)
        devices = self.entries(document, "device", DeviceSettings)
        for index, device in devices:
            for name in sorted({*device.only} & {*device.avoid}):
                self.problem(f"device[{index}].avoid", f'"{shown(name)}" is also in only')
        web = self.table(document, "web", WebSettings)
        bound = split_endpoint(web.listen) if web.listen else None
        if bound and not loopback(bound[0]) and web.token is None:
            self.problem("web.token", "missing: compulsory when listen is not on loopback")
        return Config(
            service=self.table(document, "service", ServiceSettings),
            discovery=self.table(document, "discovery", DiscoverySettings),
            proxies=tuple(proxy for _, proxy in proxies),
            devices=tuple(device for _, device in devices),
            unlisted=self.table(document, "devices", DevicesSettings),
            history=self.table(document, "history", HistorySettings),
            sinks=self.sinks(document),
            web=web,
            path=path,
        )

    def problem(self, place: str, text: str) -> None:
        self.problems.append(Problem(f"{self.file}: {place}", text))

    def structure(self, value: Any, wanted: type[T], place: str) -> T | None:
        try:
            return structured(self.converter, value, wanted)
        except FieldError as error:
            for inner, text in error.faults:
                self.problem(place + inner, text)
            return None

    def table(self, document: dict[str, Any], name: str, wanted: type[T]) -> T:
        if isinstance(document.get(name), list):
            hint = "; for entries of their own write [[device]]" if name == "devices" else ""
            self.problem(name, f"expected one table, [{name}]{hint}")
            return wanted()
        return self.structure(document.get(name, {}), wanted, name) or wanted()

    def entries(self, document: dict[str, Any], name: str, wanted: type[T]) -> list[tuple[int, T]]:
        """The entries that are right, each with its index; equal MACs or names are told even of those that are not."""
        values = document.get(name, [])
        if not isinstance(values, list):
            self.problem(name, f"expected entries, each below a line [[{name}]]")
            return []
        found = [(index, self.structure(value, wanted, f"{name}[{index}]")) for index, value in enumerate(values, 1)]
        for key in ("mac", "name"):
            first: dict[str | Address, int] = {}
            for index, value in enumerate(values, 1):
                same = _comparable(key, value)
                if same is not None and first.setdefault(same, index) != index:
                    self.problem(f"{name}[{index}].{key}", f"the same as {name}[{first[same]}].{key}")
        return [(index, entry) for index, entry in found if entry is not None]

    def sinks(self, document: dict[str, Any]) -> dict[str, Any]:
        tables = document.get("sink", {"jsonl": {"path": "-"}})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            self.problem("sink", "expected tables, [sink.NAME] each")
            return {}
        found: dict[str, Any] = {}
        for name, table in tables.items():
            settings = self.sink(name)
            if settings is not None:
                found[name] = self.structure(table, settings, f"sink.{name}")
        return found

    def sink(self, name: str) -> type[Any] | None:
        """The Settings of a sink's module, which is imported only now."""
        known = sorted(module.name for module in pkgutil.iter_modules(sinks.__path__))
        module = None
        try:
            module = importlib.import_module(f"proxy_listener.sinks.{name}") if name in known else None
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            extra = EXTRAS.get(package)
            mend = f"pip install 'proxy-listener[{extra}]'" if extra else f"the package {package} is missing"
            self.problem(f"sink.{shown(name)}", f"needs an extra: {mend}" if extra else mend)
            return None
        if module is None or not hasattr(module, "Settings") or not hasattr(module, "run"):
            text = "unknown sink" + (meant(name, known) or f", expected one of: {', '.join(known)}")
            self.problem(f"sink.{shown(name)}", text)
            return None
        settings: type[Any] = module.Settings
        return settings


def _comparable(key: str, entry: Any) -> str | Address | None:
    """What of an entry must be unlike that of all others; None where there is nothing to compare."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        return None
    try:
        return fields.mac(value, None) if key == "mac" else value
    except FieldError:
        return None
