"""The verbs that ask the running service: what it answers in, tables, lines or JSON out."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from proxy_listener.cli.rows import (
    DEVICE_COVERAGE_HEAD,
    DEVICE_HEAD,
    HISTORY_HEAD,
    PROXY_COVERAGE_HEAD,
    PROXY_HEAD,
    ROUTE_HEAD,
    STRANGERS,
    counts_in_words,
    coverage_row,
    covered_row,
    device_row,
    fetched,
    history_row,
    measured,
    proxy_row,
    route_row,
)
from proxy_listener.cli.steps import told
from proxy_listener.cli.tables import age, cell, drawn, print_json, show
from proxy_listener.cli.verb import FAILED, Listing, NotRunningError, Options, main
from proxy_listener.model.errors import ProxyListenerError

if TYPE_CHECKING:
    from proxy_listener.cli.client import Service


REDRAW = 1.0
HISTORY_LIMIT = 100
OTHERS = 5
"""Nodes that are named as not used."""


@main.command(cls=Listing)
@click.pass_obj
def status(options: Options) -> None:
    """The running service: its proxies and their health. Status 1 while readings cannot be stored."""
    from proxy_listener.cli.client import ask

    document = ask(options.state_directory(), lambda service: service.get("/status"))
    if options.json:
        print_json(document)
    else:
        print_status(document, options)
    if not document["storage"]["ok"]:
        sys.exit(FAILED)


def print_status(document: dict[str, Any], options: Options) -> None:
    """For people: what a person has to do something about stands below the table."""
    storage = document["storage"]
    stored = "history ok" if storage["ok"] else f"history cannot be written: {cell(storage['error'])}"
    click.echo(f"proxy-listener {document['version']}, up {age(document['uptime'])}, {stored}")
    if storage["alarm"]:
        click.echo(cell(storage["alarm"]))
    ours = [proxy for proxy in document["proxies"] if proxy["state"] not in STRANGERS]
    show(PROXY_HEAD, [proxy_row(proxy) for proxy in ours], colored=options.colored())
    for proxy in ours:
        if proxy["advice"]:
            click.echo(f"{cell(proxy['name'])}: {cell(proxy['cause'])}. {cell(proxy['advice'])}")
    if others := [cell(proxy["name"]) for proxy in document["proxies"] if proxy["state"] in STRANGERS]:
        named = ", ".join(others[:OTHERS]) + (f" and {len(others) - OTHERS} more" if len(others) > OTHERS else "")
        click.echo(f"not used: {named}; discover says why")
    counted = {word: number for word, number in document["outcomes"].items() if number}
    if counted:
        click.echo("advertisements: " + counts_in_words(counted))


@main.command(cls=Listing)
@click.pass_obj
def devices(options: Options) -> None:
    """Every device and its latest values."""
    from proxy_listener.cli.client import ask

    documents = ask(options.state_directory(), lambda service: service.get("/devices"))
    if options.json:
        print_json(documents)
        return
    show(DEVICE_HEAD, [device_row(device) for device in documents], colored=options.colored())


@main.command(cls=Listing, short_help="Devices as they speak.")
@click.pass_obj
def watch(options: Options) -> None:
    """Devices as they speak: a live table, or JSON Lines where there is no terminal."""
    from proxy_listener.cli.client import ask

    try:
        ask(options.state_directory(), _lines if options.json or not sys.stdout.isatty() else _live)
    except KeyboardInterrupt:
        return


async def _lines(service: "Service") -> None:
    kind = ""
    async for line in service.lines("GET", "/events"):
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: ") and kind == "gap":
            lost = json.loads(line.removeprefix("data: "))["lost"]
            click.echo(f"{lost} readings were dropped: this reader is too slow; history has them", err=True)
        elif line.startswith("data: "):
            click.echo(line.removeprefix("data: "))
    raise NotRunningError("the service stopped")


async def _live(service: "Service") -> None:
    import asyncio

    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while True:
            documents = await service.get("/devices")
            documents.sort(key=lambda device: (device["heard_age"] is None, device["heard_age"]))
            live.update(
                drawn(DEVICE_HEAD, [device_row(device) for device in documents], live.console.width), refresh=True
            )
            await asyncio.sleep(REDRAW)


@main.command(cls=Listing, short_help="Who might read a device, and why.")
@click.argument("device")
@click.pass_obj
def route(options: Options, device: str) -> None:
    """Every proxy that might read DEVICE (a name or a MAC), its score, and why."""
    from proxy_listener.cli.client import ask

    async def question(service: "Service") -> Any:
        return await service.get(f"/devices/{(await service.device(device))['mac']}/routes")

    candidates = ask(options.state_directory(), question)
    if options.json:
        print_json(candidates)
        return
    show(ROUTE_HEAD, [route_row(one) for one in candidates], colored=options.colored())


@main.command(cls=Listing, short_help="Read a device now.")
@click.argument("device")
@click.option("--history", is_flag=True, help="Also fetch the measurements that the device kept itself.")
@click.pass_obj
def read(options: Options, device: str, history: bool) -> None:
    """Connect to DEVICE now, through the proxy that hears it best, and read it."""
    from proxy_listener.cli.client import ask

    async def question(service: "Service") -> dict[str, Any]:
        mac = (await service.device(device))["mac"]
        with told(plain=options.no_color) as tell:
            async for line in service.lines("POST", f"/devices/{mac}/read", {"history": history}):
                document: dict[str, Any] = json.loads(line)
                if "result" in document:
                    result: dict[str, Any] = document["result"]
                    return result
                tell(document["progress"])
        raise ProxyListenerError("the service stopped before the read ended")

    result = ask(options.state_directory(), question)
    if options.json:
        print_json(result)
    else:
        for attempt in result["attempts"]:
            click.echo(cell(f"{attempt['proxy']}: {attempt['detail']}"), err=True)
        click.echo(cell(result["detail"]), err=not result["ok"])
        if result["values"]:
            click.echo(measured(result["values"]))
        if log := result["log"]:
            click.echo(fetched(log))
    if not result["ok"]:
        sys.exit(FAILED)


def moment(_context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A moment as people write it: ISO 8601 (without a zone: local time), or how long ago (``24h``)."""
    from proxy_listener.config.fields import FieldError, duration

    if value is None:
        return None
    try:
        return time.time() - duration(value, None)
    except FieldError:
        pass
    try:
        return datetime.fromisoformat(value).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            'a time such as 2026-11-22T18:00, or how long ago, such as "24h"', param=parameter
        ) from None


def span(since: float | None, until: float | None) -> dict[str, float]:
    """A time range as the API's query."""
    return {name: at for name, at in (("since", since), ("until", until)) if at is not None}


@main.command(cls=Listing)
@click.argument("device")
@click.option("--since", callback=moment, metavar="WHEN", help='From then on: a time, or how long ago ("24h").')
@click.option("--until", callback=moment, metavar="WHEN", help="Before then.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=HISTORY_LIMIT, help="The newest so many.", show_default=True
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.pass_obj
def history(options: Options, device: str, since: float | None, until: float | None, limit: int, as_csv: bool) -> None:
    """The readings of DEVICE, oldest first."""
    from proxy_listener.cli.client import ask

    async def question(service: "Service") -> Any:
        mac = (await service.device(device))["mac"]
        return await service.get(f"/devices/{mac}/readings", limit=limit, **span(since, until))

    readings = ask(options.state_directory(), question)
    if options.json:
        print_json(readings)
    elif as_csv:
        from proxy_listener.cli.spreadsheet import write_csv

        write_csv(readings, sys.stdout)
    else:
        show(HISTORY_HEAD, [history_row(one) for one in readings], colored=options.colored())


@main.command(cls=Listing, short_help="What would be lost without a proxy.")
@click.pass_obj
def coverage(options: Options) -> None:
    """Which rooms carry the house: what would be lost without a proxy, and what nobody hears."""
    from proxy_listener.cli.client import ask

    async def question(service: "Service") -> tuple[Any, Any]:
        return await service.get("/coverage"), await service.get("/devices")

    document, known = ask(options.state_directory(), question)
    if options.json:
        print_json(document)
        return
    names = {device["mac"]: device["name"] for device in known}
    click.echo(f"frames of the last {age(document['hours'] * 3600)}")
    if document["proxies"]:
        rows = [coverage_row(proxy, names) for proxy in document["proxies"]]
        show(PROXY_COVERAGE_HEAD, rows, colored=options.colored())
    if document["devices"]:
        click.echo("")
        show(DEVICE_COVERAGE_HEAD, list(map(covered_row, document["devices"])), colored=options.colored())
    if document["unheard"]:
        click.echo("")
        click.echo("no proxy hears: " + ", ".join(cell(names.get(mac, mac)) for mac in document["unheard"]))


@main.command(short_help="Readings as CSV, JSON Lines or Parquet.")
@click.argument("device", required=False)
@click.option("--since", callback=moment, metavar="WHEN", help='From then on: a time, or how long ago ("24h").')
@click.option("--until", callback=moment, metavar="WHEN", help="Before then.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option("-o", "--output", default="-", metavar="FILE", help="Standard output where not given.")
@click.pass_obj
def export(
    options: Options, device: str | None, since: float | None, until: float | None, form: str, output: str
) -> None:
    """Every reading, or those of DEVICE, as CSV, JSON Lines or Parquet."""
    from proxy_listener.cli.client import ask
    from proxy_listener.cli.spreadsheet import exported

    async def question(service: "Service") -> None:
        query: dict[str, Any] = dict(span(since, until))
        if device is not None:
            query["mac"] = (await service.device(device))["mac"]
        await exported(service.lines("GET", "/readings", **query), form, output)

    ask(options.state_directory(), question)
