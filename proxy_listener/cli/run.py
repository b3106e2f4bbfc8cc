"""The verb ``run``: the service. It imports nothing that the service does not need, because it stays in memory."""

import asyncio

import click
import structlog

from proxy_listener import service
from proxy_listener.cli.verb import Options, Verb
from proxy_listener.config import doubts
from proxy_listener.proxies.coalesce import event_loop

log = structlog.get_logger()


@click.command(cls=Verb)
@click.pass_obj
def run(options: Options) -> None:
    """Listen, until told to stop."""
    config = options.load()
    for doubt in doubts(config):
        log.warning("this may not be what is meant", place=doubt.place, detail=doubt.text)
    with asyncio.Runner(loop_factory=lambda: event_loop(config.service.coalesce)) as runner:
        runner.run(service.run(config, options.state_directory()))
