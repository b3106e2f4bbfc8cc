"""The verbs that ask the running service for its state or for a read: API answers in, tables, lines or JSON out."""

import json
import sys
from typing import Any

import click

from proxy_listener.cli.client import ServiceClient, ask
from proxy_listener.cli.output import age, cell, print_json, print_listing, print_table, progress
from proxy_listener.cli.rows import (
    DEVICE_COVERAGE_HEAD,
    DEVICE_HEAD,
    PROXY_COVERAGE_HEAD,
    PROXY_HEAD,
    ROUTE_HEAD,
    admissions_in_words,
    advice_in_words,
    clock_in_words,
    counts_in_words,
    coverage_in_words,
    device_coverage_row,
    device_row,
    dial_in_in_words,
    log_in_words,
    proxy_coverage_row,
    proxy_row,
    route_row,
    shared_in_words,
    values_in_words,
)
from proxy_listener.cli.screen import follow, live_screen
from proxy_listener.cli.verb import FAILED, Listing, NotRunningError, Options
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.status import NOT_EXPECTED

UNUSED_NAMED = 5
"""Nodes that are named as not used."""


@click.command(cls=Listing)
@click.pass_obj
def status(options: Options) -> None:
    """The running service: its proxies and their health. Status 1 while readings cannot be stored."""
    document = ask(options.state_directory(), lambda service: service.get("/status"))
    if options.json:
        print_json(document)
    else:
        print_status(document, options)
    if not document["storage"]["ok"]:
        sys.exit(FAILED)


def print_status(document: dict[str, Any], options: Options) -> None:
    """Print ``/status`` for people, with what they have to do below the table."""
    storage = document["storage"]
    stored = "history ok" if storage["ok"] else f"history cannot be written: {cell(storage['error'])}"
    click.echo(f"proxy-listener {document['version']}, up {age(document['uptime'])}, {stored}")
    if storage["alarm"]:
        click.echo(cell(storage["alarm"]))
    expected = [proxy for proxy in document["proxies"] if proxy["state"] not in NOT_EXPECTED]
    print_table(PROXY_HEAD, list(map(proxy_row, expected)), colored=options.colored())
    for proxy in expected:
        if proxy["advice"]:
            click.echo(f"{cell(proxy['name'])}: {cell(proxy['cause'])}. {cell(proxy['advice'])}")
    for line in shared_in_words(expected):
        click.echo(line)
    if unused := [cell(proxy["name"]) for proxy in document["proxies"] if proxy["state"] in NOT_EXPECTED]:
        more = f" and {len(unused) - UNUSED_NAMED} more" if len(unused) > UNUSED_NAMED else ""
        click.echo(f"not used: {', '.join(unused[:UNUSED_NAMED])}{more}; discover says why")
    for words in filter(None, [dial_in_in_words(document["dial_in"]), admissions_in_words(document["admissions"])]):
        click.echo(cell(words))
    counted = {outcome: number for outcome, number in document["outcomes"].items() if number}
    if counted:
        click.echo("advertisements: " + counts_in_words(counted))


@click.command(cls=Listing)
@click.pass_obj
def devices(options: Options) -> None:
    """Every device and its latest values."""

    async def question(service: ServiceClient) -> tuple[Any, Any]:
        return await service.get("/devices"), await service.get("/status")

    documents, status = ask(options.state_directory(), question)
    print_listing(options, documents, DEVICE_HEAD, list(map(device_row, documents)))
    if not options.json:
        for line in filter(None, [*advice_in_words(documents), admissions_in_words(status["admissions"])]):
            click.echo(line)


@click.command(cls=Listing)
@click.pass_obj
def watch(options: Options) -> None:
    """Readings as they come: a live table, or JSON Lines where there is no terminal."""
    try:
        if options.json or not sys.stdout.isatty():
            ask(options.state_directory(), _print_events)
        else:
            with live_screen(options) as screen:
                ask(options.state_directory(), lambda service: follow(service, screen))
    except KeyboardInterrupt:
        return


async def _print_events(service: ServiceClient) -> None:
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


@click.command(cls=Listing)
@click.argument("device")
@click.pass_obj
def route(options: Options, device: str) -> None:
    """Every proxy that might read DEVICE (a name or a MAC), its score, and why."""

    async def question(service: ServiceClient) -> Any:
        return await service.get(f"/devices/{(await service.device(device))['mac']}/routes")

    candidates = ask(options.state_directory(), question)
    print_listing(options, candidates, ROUTE_HEAD, list(map(route_row, candidates)))


@click.command(cls=Listing)
@click.argument("device")
@click.option("--history", is_flag=True, help="Also fetch the measurements that the device kept itself.")
@click.option("--set-clock", is_flag=True, help="Also set the device's clock to this machine's local time.")
@click.pass_obj
def read(options: Options, device: str, history: bool, set_clock: bool) -> None:
    """Connect to DEVICE now, through the proxy that hears it best, and read it."""

    async def question(service: ServiceClient) -> dict[str, Any]:
        mac = (await service.device(device))["mac"]
        wanted = {"history": history, "set_clock": set_clock}
        with progress(plain=options.no_color) as show_step:
            async for line in service.lines("POST", f"/devices/{mac}/read", wanted):
                document: dict[str, Any] = json.loads(line)
                if "result" in document:
                    result: dict[str, Any] = document["result"]
                    return result
                show_step(document["progress"])
        raise ProxyListenerError("the service stopped before the read ended")

    result = ask(options.state_directory(), question)
    if options.json:
        print_json(result)
    else:
        _print_result(result)
    if not result["ok"]:
        sys.exit(FAILED)


def _print_result(result: dict[str, Any]) -> None:
    for attempt in result["attempts"]:
        click.echo(cell(f"{attempt['proxy']}: {attempt['detail']}"), err=True)
    click.echo(cell(result["detail"]), err=not result["ok"])
    if result["values"]:
        click.echo(values_in_words(result["values"]))
    if log := result["log"]:
        click.echo(log_in_words(log))
    if clock := result["clock"]:
        click.echo(clock_in_words(clock))


@click.command(cls=Listing)
@click.pass_obj
def coverage(options: Options) -> None:
    """What would be lost without each proxy, and which devices no proxy hears."""

    async def question(service: ServiceClient) -> tuple[Any, Any]:
        return await service.get("/coverage"), await service.get("/devices")

    document, known = ask(options.state_directory(), question)
    if options.json:
        print_json(document)
        return
    names = {device["mac"]: device["name"] for device in known}
    click.echo(coverage_in_words(document))
    if document["proxies"]:
        judged = document["judged"]
        rows = [proxy_coverage_row(proxy, names, judged=judged) for proxy in document["proxies"]]
        print_table(PROXY_COVERAGE_HEAD, rows, colored=options.colored())
    if document["devices"]:
        click.echo("")
        print_table(
            DEVICE_COVERAGE_HEAD, list(map(device_coverage_row, document["devices"])), colored=options.colored()
        )
    if document["unheard"]:
        click.echo("")
        click.echo("no proxy hears: " + ", ".join(cell(names.get(mac, mac)) for mac in document["unheard"]))
