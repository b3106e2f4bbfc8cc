"""The verbs ``keys import`` and ``keys test``: bindkeys into the configuration, and which of them opens frames.

One damaged frame does not prove a key wrong. A key that opened any v4/v5 frame is right, whatever the others say.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from proxy_listener.capture.lines import Capture
from proxy_listener.cli.client import ask, select
from proxy_listener.cli.output import cell, print_json, print_listing, print_table
from proxy_listener.cli.reload import reload_written
from proxy_listener.cli.verb import FAILED, Listing, Options
from proxy_listener.config import Config
from proxy_listener.config.fields import FieldError
from proxy_listener.config.key_file import read_keys
from proxy_listener.config.key_import import KeyChange, import_keys
from proxy_listener.config.secrets import bindkey
from proxy_listener.formats import FORMATS
from proxy_listener.formats.bindkey import Bindkey, bindkeys
from proxy_listener.formats.format import Format, Frame
from proxy_listener.history import known_devices
from proxy_listener.model.advertisement import Address, mac_text, parse_mac, payloads
from proxy_listener.model.errors import DecodeError, ProxyListenerError
from proxy_listener.model.secret import Secret

FILE_LIMIT = 64 << 20
"""Bytes of an extractor's file. Home Assistant's core.config_entries of a large house has a few MB."""


@click.group
def keys() -> None:
    """Bindkeys: import them, test them."""


@keys.command("import", cls=Listing)
@click.argument("file", default="-", type=click.Path(path_type=Path))
@click.pass_obj
def import_(options: Options, file: Path) -> None:
    """Add the bindkeys in FILE, or of standard input, to the configuration, keeping its comments.

    FILE is what a key extractor prints (NAME, BLE KEY, MAC ...) or its JSON, Home Assistant's
    .storage/core.config_entries, ble_monitor's devices, a map of MACs to keys, or the table that miiocli prints. No key
    is shown.
    """
    path = _own_file(options)
    name = "standard input" if str(file) == "-" else str(file)
    found = read_keys(_content(file, name))
    if found is None:
        raise ProxyListenerError(f"{name} is neither JSON nor an extractor's text (blocks with NAME, BLE KEY, MAC)")
    if not found:
        raise ProxyListenerError(f"{name} holds no device with a MAC and a key in a form that is known here")
    changes = import_keys(found, path)
    rows = [(_mac_or_none(change), change.name, change.result, change.why) for change in changes]
    document = [dict(zip(("mac", "name", "result", "detail"), row, strict=True)) for row in rows]
    print_listing(options, document, ("mac", "name", "key", "detail"), rows)
    if not options.json:
        click.echo(_sum(changes, path))
    if any(change.result in {"added", "renewed"} for change in changes):
        click.echo(reload_written(options, path), err=options.json)


def _mac_or_none(change: KeyChange) -> str | None:
    return None if change.mac is None else mac_text(change.mac)


def _own_file(options: Options) -> Path:
    """The configuration to write to. The example in the project's own folder is written only where ``-c`` names it: a
    key in it would get into version control.
    """
    path = options.file()
    if options.config is None and (path.resolve().parent / "proxy_listener" / "__init__.py").is_file():
        raise ProxyListenerError(
            f"{path} is the example in the project's folder, and no key is written there; "
            "name your own file with -c FILE (proxy-listener init writes one)"
        )
    return path


def _sum(changes: Sequence[KeyChange], path: Path) -> str:
    """How many keys were written where, and how many were not, for which reasons."""
    written = sum(change.result in {"added", "renewed"} for change in changes)
    text = f"{written} of {len(changes)} keys written to {cell(str(path))}"
    reasons = Counter(change.why for change in changes if change.result == "refused")
    known = sum(change.result == "unchanged" for change in changes)
    parts = [f"{known} there already"] if known else []
    parts += [f"{count} refused ({why})" for why, count in reasons.items()]
    return "; ".join([text, *parts])


def _content(path: Path, name: str) -> bytes:
    with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
        content = file.read(FILE_LIMIT + 1)
    if len(content) > FILE_LIMIT:
        raise ProxyListenerError(f"{name} is larger than {FILE_LIMIT >> 20} MB")
    return content


@keys.command(cls=Listing)
@click.argument("device")
@click.option(
    "--capture", required=True, type=click.Path(path_type=Path), metavar="FILE", help="A capture, - for standard input."
)
@click.option("--bindkey", "more", multiple=True, help="A further key to try.")
@click.pass_obj
def test(options: Options, device: str, capture: Path, more: tuple[str, ...]) -> None:
    """Say which of DEVICE's bindkeys fits what is in a capture. DEVICE is a MAC, a name or a part of
    one, of the configuration or as devices shows it.
    """
    mac, name, secrets = _keys_of(options, device, more)
    results, frames = _try_keys(mac, secrets, capture)
    if options.json:
        print_json({"mac": mac_text(mac), "frames": frames, "keys": results})
    elif not frames:
        click.echo(
            f"{cell(name)} ({mac_text(mac)}): no encrypted frame of it in the capture; "
            "some devices send one only every 20 minutes"
        )
    else:
        rows = [[each["key"], f"{each['opened']} of {each['frames']}", each["verdict"]] for each in results]
        print_table(("key", "frames opened", "verdict"), rows, colored=options.colored())
    if not any(each["opened"] for each in results):
        sys.exit(FAILED)


def _keys_of(options: Options, wanted: str, more: Sequence[str]) -> tuple[Address, str, list[Secret]]:
    """A device by MAC, name or part of one: its MAC, its name, and its keys: those of its entry, and ``more``."""
    config = options.load_or_default()
    devices = config.devices
    shown_name = None
    try:
        mac = parse_mac(wanted)
    except ValueError:
        found = select(_named(options, config), wanted, _where_names_are(options, config.path))
        mac, shown_name = parse_mac(found["mac"]), found["name"]
    try:
        keys = [bindkey(Secret(text)) for text in more]
    except FieldError as error:
        raise ProxyListenerError(f"--bindkey: {error}") from None
    entry = next((device for device in devices if device.mac == mac), None)
    name = entry.name if entry and entry.name else shown_name or mac_text(mac)
    keys = [*(entry.bindkey if entry else ()), *keys]
    if not keys:
        raise ProxyListenerError(f"{name} has no bindkey to test: add one to its entry, or name one with --bindkey")
    return mac, name, keys


def _named(options: Options, config: Config) -> list[dict[str, Any]]:
    """The names that the verb ``devices`` shows, otherwise those of the history, and those of the entries."""
    try:
        shown: list[dict[str, Any]] = ask(options.state_directory(), lambda service: service.get("/devices"))
    except ProxyListenerError:
        history = options.state_directory() / config.history.path
        shown = [{"mac": mac_text(device.mac), "name": device.name} for device in known_devices(history)]
    known = {device["mac"]: {"mac": device["mac"], "name": device["name"]} for device in shown}
    for entry in config.devices:
        if entry.name:
            known[mac_text(entry.mac)] = {"mac": mac_text(entry.mac), "name": entry.name}
    return list(known.values())


def _where_names_are(options: Options, path: Path | None) -> str:
    entries = f"the [[device]] entries of {path}" if path else "a configuration (none was found; name one with -c)"
    return f"among {entries} and what devices shows with the state directory {options.state_directory()}"


def _try_keys(mac: Address, secrets: Sequence[Secret], capture: Path) -> tuple[list[dict[str, Any]], int]:
    """For each key how many frames it opened; and the number of encrypted frames. Copies of a frame count once."""
    keys = [Bindkey(secret) for secret in secrets]
    forms = [bindkeys((secret,)) for secret in secrets]
    opened = [0] * len(keys)
    fitting = [0] * len(keys)
    frames = 0
    for form, data, frame in _encrypted_frames(mac, capture):
        frames += 1
        for index, tried in enumerate(forms):
            for key in tried:
                opens = frame.scheme == key.scheme and _opens(form, frame, data, mac, key)
                opened[index] += opens
                if opens:
                    keys[index] = key
                fitting[index] += opens or frame.scheme == key.scheme == keys[index].scheme
    results = [
        {
            "key": f"{index + 1} of {len(keys)}, {len(secrets[index])} digits",
            "scheme": key.scheme,
            "frames": fitting[index],
            "opened": opened[index],
            "verdict": _verdict(key, opened[index], fitting[index], frames),
        }
        for index, key in enumerate(keys)
    ]
    return results, frames


def _encrypted_frames(mac: Address, capture: Path) -> Iterator[tuple[Format[Any], bytes, Frame]]:
    seen: set[bytes] = set()
    reader = Capture()
    with sys.stdin.buffer if str(capture) == "-" else capture.open("rb") as file:
        for advertisement in reader.read(file, str(capture)):
            for uuid, data in payloads(advertisement.data):
                form = FORMATS.get(uuid)
                if form is None or data in seen or (advertisement.address != mac and not form.relayed):
                    continue
                try:
                    frame = form.parse(data, advertisement.address)
                except DecodeError:
                    continue
                inside = frame.mac if form.relayed else None
                if (advertisement.address if inside is None else inside) != mac:
                    continue
                seen.add(data)
                if frame.scheme != "plain" and frame.body:
                    yield form, data, frame
    if reader.bad and reader.bad == reader.lines:
        raise ProxyListenerError(f"no line of {capture} is an advertisement; {reader.problems[0]}")


def _opens(form: Format[Any], frame: Frame, data: bytes, mac: Address, key: Bindkey) -> bool:
    try:
        return form.open is not None and form.open(frame, data, mac, key) is not None
    except DecodeError:
        return False


def _verdict(key: Bindkey, opened: int, fitting: int, frames: int) -> str:
    if not fitting:
        other = "24" if key.scheme == "ccm" else "32"
        return f"of the wrong length: these frames need {other} digits" if frames else "no frame to try it on"
    if not opened:
        return "wrong: get the key again; it changes whenever the device is added to its app again"
    if key.scheme == "legacy":
        return "fits, as far as v2/v3 can tell: what it opens makes sense"
    return "right" if opened == fitting else "right; what it does not open was damaged, or is from before a key change"
