"""The verb ``reload``: the running service reads its configuration again, and says what it took or what is wrong."""

from pathlib import Path
from typing import Any

import click

from proxy_listener.cli.client import ServiceClient, ask
from proxy_listener.cli.output import cell, print_json
from proxy_listener.cli.verb import Listing, NotRunningError, Options


@click.command(cls=Listing)
@click.pass_obj
def reload(options: Options) -> None:
    """Make the running service read its configuration again. A file with errors changes nothing."""
    document = ask(options.state_directory(), _reread)
    if options.json:
        print_json(document)
    else:
        click.echo(in_words(document))


def reload_written(options: Options, written: Path) -> str:
    """Reload after a file was written, and say what came of it."""
    try:
        document = ask(options.state_directory(), _reread)
    except NotRunningError:
        return (
            f"no service runs with the state directory {cell(str(options.state_directory()))}; "
            "one that runs with another reads the file after: proxy-listener reload --state DIR"
        )
    if Path(document["path"]).resolve() != written.resolve():
        return f"the running service does not use this file, but {cell(document['path'])}"
    return in_words(document)


def in_words(document: dict[str, Any]) -> str:
    """What the service has read."""
    note = f"; {document['note']}" if document["note"] else ""
    counts = f"[[proxy]] entries {document['proxies']}, [[device]] entries {document['devices']}"
    return f"the running service has read {cell(document['path'])} again: {counts}{note}"


async def _reread(service: ServiceClient) -> Any:
    return await service.post("/reload")
