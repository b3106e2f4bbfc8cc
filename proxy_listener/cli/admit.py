"""The verb ``admit``: a MAC in, the device admitted; without one, the devices that wait, as a table or JSON."""

from typing import Any

import click

from proxy_listener.cli.client import ServiceClient, ask
from proxy_listener.cli.output import print_json, print_listing
from proxy_listener.cli.rows import NEWCOMER_HEAD, newcomer_row
from proxy_listener.cli.verb import Listing, Options
from proxy_listener.model.advertisement import mac_text, parse_mac


def _mac(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return mac_text(parse_mac(value))
    except ValueError:
        raise click.BadParameter("a MAC such as A4:C1:38:02:83:F4; without one, admit lists what waits") from None


@click.command(cls=Listing)
@click.argument("mac", required=False, callback=_mac)
@click.pass_obj
def admit(options: Options, mac: str | None) -> None:
    """Admit the device with this MAC at once; without MAC, list the devices that are not admitted yet."""

    async def question(service: ServiceClient) -> Any:
        return await (service.get("/newcomers") if mac is None else service.post(f"/devices/{mac}/admit"))

    document = ask(options.state_directory(), question)
    if mac is None:
        print_listing(options, document, NEWCOMER_HEAD, list(map(newcomer_row, document)))
    elif options.json:
        print_json(document)
    else:
        heard = "" if document["heard_age"] is not None else "; it was not heard yet"
        click.echo(f"{mac} is admitted{heard}; a [[device]] entry in devices.toml gives it a name")
