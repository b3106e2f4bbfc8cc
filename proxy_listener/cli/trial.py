"""Bindkeys and a capture in; how many of the device's encrypted frames each key opens out.

The rule of this file: one damaged frame is no verdict. A key that opened any v4/v5 frame is right, whatever others say.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from proxy_listener.capture.lines import Capture
from proxy_listener.cli.verb import Options
from proxy_listener.config.fields import FieldError
from proxy_listener.config.secrets import bindkey
from proxy_listener.formats.xiaomi.mibeacon import Bindkey, Frame, open_frame, parse_frame
from proxy_listener.model.advertisement import MIBEACON, Address, mac_text, parse_mac, service_data
from proxy_listener.model.errors import DecodeError, ProxyListenerError
from proxy_listener.model.secret import Secret


def candidates(options: Options, wanted: str, more: Sequence[str]) -> tuple[Address, str, list[Secret]]:
    """The device that is meant, its name, and its keys: those of its entry, and ``more``."""
    devices = options.load_or_default().devices
    try:
        mac = parse_mac(wanted)
    except ValueError:
        named = [device.mac for device in devices if (device.name or "").casefold() == wanted.casefold()]
        if not named:
            raise ProxyListenerError(f"no [[device]] entry is named {wanted}, and it is no MAC") from None
        mac = named[0]
    try:
        keys = [bindkey(Secret(text)) for text in more]
    except FieldError as error:
        raise ProxyListenerError(f"--bindkey: {error}") from None
    entry = next((device for device in devices if device.mac == mac), None)
    name = entry.name if entry and entry.name else mac_text(mac)
    keys = [*(entry.bindkey if entry else ()), *keys]
    if not keys:
        raise ProxyListenerError(f"{name} has no bindkey to test: add one to its entry, or name one with --bindkey")
    return mac, name, keys


def tried(mac: Address, secrets: Sequence[Secret], capture: Path) -> tuple[list[dict[str, Any]], int]:
    """For each key what it opened, and how many encrypted frames there were, each distinct one counted once."""
    keys = [Bindkey(secret) for secret in secrets]
    opened = [0] * len(keys)
    fitting = [0] * len(keys)
    frames = 0
    for data, frame in _encrypted(mac, capture):
        frames += 1
        for index, key in enumerate(keys):
            if frame.scheme == key.scheme:
                fitting[index] += 1
                opened[index] += _opens(frame, data, mac, key)
    results = [
        {
            "key": f"{index} of {len(keys)}, {len(secrets[index - 1])} digits",
            "scheme": key.scheme,
            "frames": fitting[index - 1],
            "opened": opened[index - 1],
            "verdict": _verdict(key, opened[index - 1], fitting[index - 1], frames),
        }
        for index, key in enumerate(keys, 1)
    ]
    return results, frames


def _encrypted(mac: Address, capture: Path) -> Iterator[tuple[bytes, Frame]]:
    seen: set[bytes] = set()
    reader = Capture()
    with sys.stdin.buffer if str(capture) == "-" else capture.open("rb") as file:
        for advertisement in reader.read(file, str(capture)):
            if advertisement.address != mac:
                continue
            for uuid, data in service_data(advertisement.data):
                if uuid != MIBEACON or data in seen:
                    continue
                seen.add(data)
                try:
                    frame = parse_frame(data, mac)
                except DecodeError:
                    continue
                if frame.encrypted and frame.body:
                    yield data, frame
    if reader.bad and reader.bad == reader.lines:
        raise ProxyListenerError(f"no line of {capture} is an advertisement; {reader.problems[0]}")


def _opens(frame: Frame, data: bytes, mac: Address, key: Bindkey) -> bool:
    try:
        return open_frame(frame, data, mac, key) is not None
    except DecodeError:
        return False


def _verdict(key: Bindkey, opened: int, fitting: int, frames: int) -> str:
    if not fitting:
        other = "24" if key.scheme == "v4v5" else "32"
        return f"of the wrong length: these frames want {other} digits" if frames else "no frame to try it on"
    if not opened:
        return "wrong: get the key anew; it changes whenever the device is added to the Xiaomi app again"
    if key.scheme == "legacy":
        return "fits, as far as v2/v3 can tell: what it opens makes sense"
    return "right" if opened == fitting else "right; what it does not open was damaged, or is from before a key change"
