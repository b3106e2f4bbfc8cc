"""``keys import`` and ``keys test``: bindkeys into the configuration, and whether they are the right ones."""

import json
import sys
from pathlib import Path

import click

from proxy_listener.cli.tables import cell, print_json, show
from proxy_listener.cli.verb import FAILED, Listing, Options, Verbs, main
from proxy_listener.model.errors import ProxyListenerError

FILE_LIMIT = 64 << 20
"""Bytes of an extractor's file: Home Assistant's core.config_entries of a large house has a few MB."""


@main.group(cls=Verbs)
def keys() -> None:
    """Bindkeys: import them, test them."""


@keys.command("import", cls=Listing)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def import_(options: Options, file: Path) -> None:
    """Add the bindkeys in FILE to the configuration, keeping its comments.

    FILE is the JSON of a key extractor, Home Assistant's .storage/core.config_entries, ble_monitor's devices, or a map
    of MACs to keys. No key is shown.
    """
    from proxy_listener.config.key_import import extracted, import_keys
    from proxy_listener.model.advertisement import mac_text

    path = options.file()
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_LIMIT + 1)
        if len(content) > FILE_LIMIT:
            raise ProxyListenerError(f"{file} is larger than {FILE_LIMIT >> 20} MB")
        found = extracted(json.loads(content.decode("utf-8-sig")))
    except (ValueError, RecursionError):
        raise ProxyListenerError(f"{file} is not JSON") from None
    if not found:
        raise ProxyListenerError(f"{file} holds no device with a MAC and a key in a form that is known here")
    changes = import_keys(found, path)
    if options.json:
        print_json([{"mac": mac_text(each.mac), "result": each.deed, "detail": each.why} for each in changes])
        return
    show(
        ("mac", "key", "detail"),
        [[mac_text(each.mac), each.deed, each.why] for each in changes],
        colored=options.colored(),
    )
    written = sum(each.deed in {"added", "renewed"} for each in changes)
    click.echo(f"{written} of {len(changes)} keys written to {cell(str(path))}")


@keys.command(cls=Listing)
@click.argument("device")
@click.option(
    "--capture", required=True, type=click.Path(path_type=Path), metavar="FILE", help="A capture, - for standard input."
)
@click.option("--bindkey", "more", multiple=True, help="A further key to try.")
@click.pass_obj
def test(options: Options, device: str, capture: Path, more: tuple[str, ...]) -> None:
    """Say which of DEVICE's bindkeys fits what is in a capture. DEVICE is a name in the configuration or a MAC."""
    from proxy_listener.cli.trial import candidates, tried
    from proxy_listener.model.advertisement import mac_text

    mac, name, secrets = candidates(options, device, more)
    results, frames = tried(mac, secrets, capture)
    if options.json:
        print_json({"mac": mac_text(mac), "frames": frames, "keys": results})
    elif not frames:
        click.echo(
            f"{cell(name)} ({mac_text(mac)}): no encrypted frame of it in the capture; "
            "some devices send one only every 20 minutes"
        )
    else:
        rows = [[each["key"], f"{each['opened']} of {each['frames']}", each["verdict"]] for each in results]
        show(("key", "frames opened", "verdict"), rows, colored=options.colored())
    if not any(each["opened"] for each in results):
        sys.exit(FAILED)
