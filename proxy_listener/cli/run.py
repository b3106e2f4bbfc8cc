"""The verb ``run``: the service in the foreground, stopped and reloaded by signals.

It imports nothing that the service does not need, because it stays in memory.
"""

import asyncio
import os
import resource
import signal
from pathlib import Path

import click
import structlog

from proxy_listener.cli.verb import Options, Verb
from proxy_listener.config import Config, doubts, load
from proxy_listener.model.errors import ConfigError
from proxy_listener.proxies.coalesce import event_loop
from proxy_listener.service import Service, service

log = structlog.get_logger()


@click.command(cls=Verb)
@click.pass_obj
def run(options: Options) -> None:
    """Listen, until told to stop."""
    config = options.load()
    for doubt in doubts(config):
        log.warning("this may not be what is meant", place=doubt.place, detail=doubt.text)
    with asyncio.Runner(loop_factory=lambda: event_loop(config.service.coalesce)) as runner:
        runner.run(serve(config, options.state_directory()))


async def serve(config: Config, state: Path) -> None:
    """The service, until SIGTERM or SIGINT. SIGHUP reads the configuration again; one with errors changes nothing."""
    _allow_many_sockets()
    loop = asyncio.get_running_loop()
    stop, again = asyncio.Event(), asyncio.Event()
    async with service(config, state) as running:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        log.info("listening", proxies=len(config.proxies), devices=len(config.devices), state=str(state))
        running.manager.notify("READY=1", "STATUS=looking for proxies")
        reloads = asyncio.create_task(_reload_when(again, running))
        await stop.wait()
        running.manager.notify("STOPPING=1")
        log.info("stopping")
        reloads.cancel()
    log.info("stopped")
    if running.stuck:
        # A thread that waits for a disk cannot be ended, and an orderly exit of the interpreter would wait for it.
        os._exit(1)


def _allow_many_sockets() -> None:
    """A proxy needs two sockets. The usual soft limit of 1,024 exists for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _reload_when(again: asyncio.Event, running: Service) -> None:
    while True:
        await again.wait()
        again.clear()
        path = running.config.path
        if path is None:
            log.warning("there is no configuration file to read again")
            continue
        running.manager.notify_reloading()
        try:
            config = await asyncio.to_thread(load, path)
            await running.reload(config)
        except ConfigError as error:
            for problem in error.problems:
                log.error("devices.toml was not taken; the old one stays", problem=str(problem))  # noqa: TRY400  as above
        except Exception:  # a defect in our own code must not end all later reloads
            log.exception("devices.toml could not be taken as a whole")
        else:
            log.info("devices.toml was read again", proxies=len(config.proxies), devices=len(config.devices))
        running.manager.notify("READY=1")
