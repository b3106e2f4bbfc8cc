"""``devices.toml`` in, a frozen :class:`Config` out, or one ConfigError with all its problems.

A problem's place is ``file: table.key``. Entries of ``[[proxy]]`` and ``[[device]]`` and items of lists count from 1:
``devices.toml: device[2].bindkey`` is the key of the second ``[[device]]``. No message repeats a value.
"""

import importlib
import os
import pkgutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from cattrs import Converter, transform_error

from proxy_listener import sinks
from proxy_listener.config import fields
from proxy_listener.config.fields import FieldError, meant, shown, unknown
from proxy_listener.config.secrets import Secrets, refuse_readable
from proxy_listener.config.structure import converter_for
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import ConfigError, Problem
from proxy_listener.model.secret import SHORTEST_TOKEN, TOO_SHORT
from proxy_listener.model.settings import (
    DeviceSettings,
    DevicesSettings,
    DiscoverySettings,
    HistorySettings,
    ProxySettings,
    ServiceSettings,
    ShareSettings,
    WebSettings,
)
from proxy_listener.model.text import loopback, split_endpoint
from proxy_listener.state import read_regular

T = TypeVar("T", bound=attrs.AttrsInstance)

NAME = "devices.toml"

TABLES = ("service", "discovery", "proxy", "device", "devices", "history", "sink", "web", "share")

EXTRAS = {"aiomqtt": "mqtt", "paho": "mqtt", "prometheus_client": "metrics"}
"""Import name of an optional package -> the extra of this project that installs it."""


@attrs.frozen
class Config:
    """All of ``devices.toml``. ``sinks``: name of a sink's module -> its own Settings.

    ``Config()`` has the defaults of an empty file, but no sink. Its repr shows no secret.
    """

    service: ServiceSettings = attrs.field(factory=ServiceSettings)
    discovery: DiscoverySettings = attrs.field(factory=DiscoverySettings)
    proxies: tuple[ProxySettings, ...] = ()
    devices: tuple[DeviceSettings, ...] = ()
    unlisted: DevicesSettings = attrs.field(factory=DevicesSettings)
    history: HistorySettings = attrs.field(factory=HistorySettings)
    sinks: Mapping[str, Any] = attrs.field(factory=dict)
    web: WebSettings = attrs.field(factory=WebSettings)
    share: ShareSettings = attrs.field(factory=ShareSettings)
    path: Path | None = None


def places() -> tuple[Path, ...]:
    """Where a configuration is looked for, in this order, when none is named."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(NAME), Path(home) / "proxy-listener" / NAME, Path("/etc/proxy-listener") / NAME


def find(given: str | Path | None = None) -> Path | None:
    """The configuration file: the one that is named, else the first of the usual places that exists."""
    if given is not None:
        return Path(given)
    return next((path for path in places() if path.is_file()), None)


LARGEST = 1_000_000
"""Bytes of a devices.toml; ten thousand devices take less."""


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
    """What is allowed and probably not meant. ``check`` and ``doctor`` show it as warnings."""
    found: list[Problem] = []
    file = config.path.name if config.path else NAME
    known = {proxy.name for proxy in config.proxies}
    for index, device in enumerate(config.devices, 1):
        for key in ("prefer", "only", "avoid"):
            for name in getattr(device, key):
                if name not in known:
                    text = f'no [[proxy]] is named "{shown(name)}"; the name of a node found by mDNS works too'
                    found.append(Problem(f"{file}: device[{index}].{key}", text + meant(name, known)))
    for index, name in enumerate(config.share.proxies, 1):
        if name not in known:
            text = f'no [[proxy]] is named "{shown(name)}"; the name of a node found by mDNS works too'
            found.append(Problem(f"{file}: share.proxies[{index}]", text + meant(name, known)))
    if config.share.noise_psk is not None and config.share.noise_psk in {
        config.discovery.noise_psk,
        *(proxy.noise_psk for proxy in config.proxies),
    }:
        text = "the key of a proxy: whoever may use shared nodes can also connect to the proxy; make one of its own"
        found.append(Problem(f"{file}: share.noise_psk", text))
    keyed = config.discovery.accept == "keyed" and config.discovery.noise_psk is not None
    if not config.proxies and not keyed and config.discovery.accept != "all":
        text = "without [[proxy]] entries or a noise_psk no proxy is accepted; discover shows what could be"
        found.append(Problem(f"{file}: discovery.accept", text))
    shared = config.discovery.noise_psk is not None
    entries = any(proxy.mac is not None and (shared or proxy.noise_psk is not None) for proxy in config.proxies)
    strangers = shared and config.discovery.accept != "listed"
    if config.discovery.dial_in is not None and not entries and not strangers:
        text = "no node can call: none has a [[proxy]] entry with mac and a key, and there is no shared noise_psk"
        found.append(Problem(f"{file}: discovery.dial_in", text))
    return found


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_regular(path, LARGEST).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError([Problem(shown(str(path)), f"cannot be read: {error.strerror}")]) from None
    except RecursionError:
        raise ConfigError([Problem(path.name, "not TOML: nested too deeply")]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(f"{path.name}: line {line}", "not UTF-8 text")]) from None
    except tomllib.TOMLDecodeError as error:
        text, _, where = str(error).removesuffix(")").rpartition(" (at ")
        raise ConfigError([Problem(f"{path.name}: {where}", f"not TOML: {shown(text)}")]) from None


@attrs.define
class _Reader:
    """Converts the document's tables and collects what is wrong with them."""

    file: str
    converter: Converter
    problems: list[Problem]

    def config(self, document: dict[str, Any], path: Path) -> Config:
        for key in document:
            if key not in TABLES:
                self.problem(shown(key), unknown(key, TABLES, "table"))
        proxies = self.entries(document, "proxy", ProxySettings)
        devices = self.entries(document, "device", DeviceSettings)
        for index, device in devices:
            for name in sorted({*device.only} & {*device.avoid}):
                self.problem(f"device[{index}].avoid", f'"{shown(name)}" is also in only')
        web = self.table(document, "web", WebSettings)
        bound = split_endpoint(web.listen) if web.listen else None
        if bound and not loopback(bound[0]):
            if web.token is None:
                self.problem("web.token", "missing: compulsory when listen is not on loopback")
            elif len(web.token) < SHORTEST_TOKEN:
                self.problem("web.token", f"{len(web.token)} characters, {TOO_SHORT}")
        share = self.table(document, "share", ShareSettings)
        if share.listen is not None and share.noise_psk is None and not loopback(share.listen):
            self.problem("share.noise_psk", "missing: compulsory when listen is not on loopback")
        return Config(
            service=self.table(document, "service", ServiceSettings),
            discovery=self.table(document, "discovery", DiscoverySettings),
            proxies=tuple(proxy for _, proxy in proxies),
            devices=tuple(device for _, device in devices),
            unlisted=self.table(document, "devices", DevicesSettings),
            history=self.table(document, "history", HistorySettings),
            sinks=self.sinks(document),
            web=web,
            share=share,
            path=path,
        )

    def problem(self, place: str, text: str) -> None:
        self.problems.append(Problem(f"{self.file}: {place}", text))

    def structure(self, value: Any, wanted: type[T], place: str) -> T | None:
        """The value of attrs class ``wanted``; None, and problems, where anything is wrong."""
        if not isinstance(value, dict):
            self.problem(place, f"expected a table, found {fields.kind(value)}")
            return None
        known = [field.name for field in attrs.fields(wanted)]
        found = None
        try:
            found = self.converter.structure(value, wanted)
        except Exception as error:  # noqa: BLE001  a sink's own validators may raise any exception
            for line in transform_error(error, place, _text_of):
                text, _, inner = line.rpartition(" @ ")
                self.problem(inner, text)
        for key in sorted(value.keys() - set(known)):
            self.problem(f"{place}.{shown(key)}", unknown(key, known))
        return found

    def table(self, document: dict[str, Any], name: str, wanted: type[T]) -> T:
        if isinstance(document.get(name), list):
            hint = "; for entries of their own write [[device]]" if name == "devices" else ""
            self.problem(name, f"expected one table, [{name}]{hint}")
            return wanted()
        return self.structure(document.get(name, {}), wanted, name) or wanted()

    def entries(self, document: dict[str, Any], name: str, wanted: type[T]) -> list[tuple[int, T]]:
        """The valid entries, each with its index. Equal MACs or names are problems in invalid entries, too."""
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
        """The Settings of a sink's module, which is imported here so that unused sinks cost nothing."""
        known = sorted(module.name for module in pkgutil.iter_modules(sinks.__path__))
        module = None
        try:
            module = importlib.import_module(f"proxy_listener.sinks.{name}") if name in known else None
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            extra = EXTRAS.get(package)
            missing = (
                f"needs an extra, in the project's folder: {pip()} install '.[{extra}]'"
                if extra
                else f"needs {package}"
            )
            self.problem(f"sink.{shown(name)}", missing)
            return None
        if module is None or not hasattr(module, "Settings") or not hasattr(module, "run"):
            self.problem(f"sink.{shown(name)}", unknown(name, known, "sink"))
            return None
        settings: type[Any] = module.Settings
        return settings


def pip() -> str:
    """How pip of the environment in which this program runs is called."""
    return f"{sys.executable} -m pip" if sys.prefix != sys.base_prefix else "pip"


def _text_of(error: BaseException, _: type | None) -> str:
    """What an exception of a field says. KeyError: cattrs found no value."""
    if isinstance(error, KeyError):
        return "missing, and has no default"
    if isinstance(error, FieldError):
        return str(error)
    return shown(str(error.args[0])) if error.args else "not accepted"


def _comparable(key: str, entry: Any) -> str | Address | None:
    """The value of a key that must be unique among all entries; None where it is missing or invalid."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        return None
    try:
        return fields.mac(value, None) if key == "mac" else value
    except FieldError:
        return None
