"""The verbs ``check`` and ``decode``, which need neither a service nor a network."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import click

from proxy_listener.capture.lines import LineError, parse
from proxy_listener.cli.output import cell, print_json, print_table
from proxy_listener.cli.verb import Listing, Options, Verb, nearest_existing
from proxy_listener.config import Config, doubts, find, load
from proxy_listener.config.fields import FieldError
from proxy_listener.config.secrets import bindkey
from proxy_listener.formats import FORMATS, MAIN_UUID, model_named
from proxy_listener.formats.explain import explain
from proxy_listener.history import known_devices
from proxy_listener.model.advertisement import mac_text, parse_mac, payloads
from proxy_listener.model.errors import ConfigError, DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings, DiscoverySettings, ProxySettings
from proxy_listener.model.text import printable
from proxy_listener.state import CONTROL_SOCKET

PROXY_HEAD = ("proxy", "mac", "room", "address", "key")
DEVICE_HEAD = ("device", "mac", "key", "read every", "proxies")


@click.command(cls=Listing)
@click.pass_obj
def check(options: Options) -> None:
    """Read the configuration and say what would run. Connects to nothing."""
    config = options.load()
    state = options.state_directory()
    warnings = [*map(str, doubts(config)), *_state_warnings(state)]
    document = _description(config, state) | {"warnings": warnings}
    if options.json:
        print_json(document)
        return
    click.echo(f"configuration  {cell(str(config.path))}")
    click.echo(f"state          {cell(str(state))}")
    click.echo(f"history        {cell(document['history'])}")
    click.echo(f"discovery      {document['discovery']}")
    for name, text in document["sinks"].items():
        click.echo(f"sink           {name}: {cell(text)}")
    click.echo(f"web            {cell(document['web'])}")
    for head, rows in ((PROXY_HEAD, document["proxies"]), (DEVICE_HEAD, document["devices"])):
        if rows:
            click.echo("")
            print_table(head, [list(row.values()) for row in rows], colored=options.colored())
    for warning in warnings:
        click.echo(f"warning: {cell(warning)}", err=True)
    click.echo("ok" if not warnings else "ok, with warnings")


def _description(config: Config, state: Path) -> dict[str, Any]:
    """What would run, as a document without secrets."""
    history = config.history
    web = config.web
    return {
        "configuration": str(config.path),
        "state": str(state),
        "history": f"{state / history.path}, kept for {_duration(history.keep)} and in {history.max_size / 1e9:g}GB, "
        f"sealed {_duration(history.sealed)}",
        "discovery": _discovery(config.discovery),
        "sinks": {name: ", ".join(_settings(settings)) for name, settings in config.sinks.items()},
        "web": f"http://{web.listen}" + (" with a token" if web.token else "")
        if web.listen
        else f"the control socket only, {state / CONTROL_SOCKET}",
        "proxies": [_proxy(proxy, config.discovery) for proxy in config.proxies],
        "devices": _devices(config, state / history.path),
    }


def _devices(config: Config, history: Path) -> list[dict[str, Any]]:
    """The devices with an entry. What kind of device each is, is in the history, if the service has run."""
    models = {device.mac: model_named(device.model) for device in known_devices(history)}
    return [_device(device, models.get(device.mac)) for device in config.devices]


def _discovery(discovery: DiscoverySettings) -> str:
    where = f"mDNS on {', '.join(discovery.interfaces)}" if discovery.interfaces else "mDNS on all interfaces"
    who = {
        "listed": "[[proxy]] entries only",
        "keyed": "[[proxy]] entries and every node that proves the noise_psk",
        "all": "every node, with or without encryption",
    }
    keyless = discovery.accept == "keyed" and discovery.noise_psk is None
    calls = f"; nodes can call {discovery.dial_in}" if discovery.dial_in else ""
    return f"{where}; {who['listed'] if keyless else who[discovery.accept]}{calls}"


def _settings(settings: Any) -> Iterator[str]:
    for field in attrs.fields(type(settings)):
        value = getattr(settings, field.name)
        if value is not None and value != ():
            yield f"{field.name} {value}"


def _proxy(proxy: ProxySettings, discovery: DiscoverySettings) -> dict[str, Any]:
    if proxy.noise_psk:
        key = "its own"
    elif proxy.password:
        key = "password"
    else:
        key = "shared" if discovery.noise_psk else "none"
    calls = discovery.dial_in is not None and proxy.mac is not None
    return {
        "name": proxy.name,
        "mac": None if proxy.mac is None else mac_text(proxy.mac),
        "room": proxy.room or proxy.name,
        "address": f"{proxy.host}:{proxy.port}" if proxy.host else "by mDNS, or it calls" if calls else "by mDNS",
        "key": key,
    }


def _device(device: DeviceSettings, model: Model | None) -> dict[str, Any]:
    schemes = {24: "MiBeacon v2/v3", 32: "MiBeacon v4/v5"}
    keys = [f"{len(key)} digits, {schemes[len(key)]}" for key in device.bindkey]
    wishes = [f"{word} {', '.join(names)}" for word in ("prefer", "only", "avoid") if (names := getattr(device, word))]
    return {
        "name": device.name,
        "mac": mac_text(device.mac),
        "key": " / ".join(keys) or "none: plain frames only",
        "read": _read(device.read, model),
        "proxies": "; ".join(wishes) or "any",
    }


def _read(interval: float | None, model: Model | None) -> str | None:
    """How often the device is read over a connection. None for a model that is not."""
    if model is not None and model.reader is None:
        return None
    if interval is None:
        return "off"
    return _duration(interval) + (", if it can be read" if model is None else "")


def _duration(seconds: float) -> str:
    """``86400.0`` -> ``1d``, as in the configuration."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds else "0"


def _state_warnings(state: Path) -> Iterator[str]:
    """Why the service could not write to its state directory."""
    there = nearest_existing(state)
    if not there.is_dir():
        yield f"{there} is not a directory, and the state directory would be in it"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"{there} is not writable for this user, and the state directory belongs there"


@click.command(cls=Verb)
@click.argument("data", metavar="HEX")
@click.option("--mac", help="The MAC of the device that sent it; needed to decrypt where it is not in the frame.")
@click.option("--bindkey", "keys", multiple=True, help="A key to try. Without one: that of the device's entry.")
@click.pass_obj
def decode(options: Options, data: str, mac: str | None, keys: tuple[str, ...]) -> None:
    """Explain a frame byte by byte: service data or a whole advertisement, in hex, or a line of a capture."""
    payload, sender = _payload(data)
    try:
        address = sender if mac is None else parse_mac(mac)
    except ValueError:
        raise click.BadParameter('expected a MAC such as "A4:C1:38:02:83:F4"', param_hint="--mac") from None
    try:
        secrets = [bindkey(Secret(text)) for text in keys]
    except FieldError as error:
        raise click.BadParameter(str(error), param_hint="--bindkey") from None
    if not secrets:
        sender = address if address is not None else _sender(payload)
        secrets = [key for device in _entries(options) if device.mac == sender for key in device.bindkey]
    sys.stdout.write(explain(payload, address, secrets))


def _payload(data: str) -> tuple[bytes, int | None]:
    """The bytes that were given, and the MAC of their sender where they are a line of a capture."""
    if data.lstrip().startswith("{"):
        try:
            advertisement = parse(data.strip())
        except LineError as error:
            raise click.BadParameter(f"is no line of a capture: {error}", param_hint="HEX") from None
        return advertisement.data, advertisement.address
    digits = re.sub(r"0x|[\s:,-]", "", data, flags=re.IGNORECASE)
    try:
        payload = bytes.fromhex(digits)
    except ValueError:
        wrong = re.search("[^0-9a-fA-F]", digits)
        why = f"{printable(wrong[0])!r} is no hex digit" if wrong else f"an odd number of hex digits, {len(digits)}"
        raise click.BadParameter(
            f"{why}; expected two for each byte, or a line of a capture", param_hint="HEX"
        ) from None
    if not payload:
        raise click.BadParameter("is empty", param_hint="HEX")
    return payload, None


def _entries(options: Options) -> Sequence[DeviceSettings]:
    """The devices of the configuration. A configuration that was not named may be missing or wrong."""
    path = find(options.config)
    try:
        return load(path).devices if path else ()
    except ConfigError:
        if options.config is not None:
            raise
        return ()


def _sender(payload: bytes) -> int | None:
    """The MAC inside a frame or an advertisement with a frame; None where it has none."""
    found = [(uuid, data) for uuid, data in payloads(payload) if uuid in FORMATS] or [(MAIN_UUID, payload)]
    for uuid, data in found:
        with suppress(DecodeError):
            mac: int | None = FORMATS[uuid].parse(data, None).mac
            return mac
    return None
