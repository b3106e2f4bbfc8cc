"""The verbs that start the engine: ``run``, ``demo``, ``replay``, ``record``; and ``discover``, which looks only."""

import asyncio
from typing import TYPE_CHECKING

import click

from proxy_listener.cli.verb import Options, Verb, main

if TYPE_CHECKING:
    pass

NODE_HEAD = ("node", "room", "address", "mac", "version", "proxy", "used", "why")


@main.command(cls=Verb)
@click.pass_obj
def run(options: Options) -> None:
    """Listen, until told to stop."""
    from proxy_listener import app

    config = options.load()
    asyncio.run(app.run(config, options.state_directory()))
