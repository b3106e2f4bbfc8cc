"""The verb ``run``: the service in the foreground, stopped and reloaded by signals.

It imports nothing that the service does not need, because it stays in memory.
"""

import asyncio
import os
import resource
import signal
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import attrs
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
    """Listen, until told to stop. On a terminal with a live table of the devices, and the log below it."""
    config = options.load()
    state = options.state_directory()
    with ExitStack() as stack:
        display = Display(stack, options, state) if on_terminal() else None
        for doubt in doubts(config):
            log.warning("this may not be what is meant", place=doubt.place, detail=doubt.text)
        with asyncio.Runner(loop_factory=lambda: event_loop(config.service.coalesce)) as runner:
            runner.run(serve(config, state, display))


def on_terminal() -> bool:
    """Whether standard output is a terminal on which a table can be drawn again."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


class Display:
    """The live table of a terminal, until ``stack`` closes. The log is shown below it, and written to standard error at
    the end.
    """

    def __init__(self, stack: ExitStack, options: Options, state: Path) -> None:
        # Imported only here: a service without a terminal does not need it.
        from proxy_listener.cli.screen import LogLines, follow_own, live_screen

        lines = LogLines() if sys.stderr.isatty() else None
        if lines is not None:
            stack.callback(lines.write_out)
        screen = stack.enter_context(live_screen(options, lines))
        self._draw = partial(follow_own, state, screen)
        self.close = stack.close

    async def run(self) -> None:
        """Draw until cancelled. A table that cannot be drawn does not end the service."""
        try:
            await self._draw()
        except Exception:
            log.exception("the live table ended; the service goes on")

    @staticmethod
    def without_output(config: Config) -> Config:
        """The configuration without JSON Lines on standard output, where the table is."""
        sinks = {name: settings for name, settings in config.sinks.items() if getattr(settings, "path", None) != "-"}
        return attrs.evolve(config, sinks=sinks)


async def serve(config: Config, state: Path, display: Display | None = None) -> None:
    """The service, until SIGTERM or SIGINT. SIGHUP reads the configuration again; one with errors changes nothing."""
    _allow_many_sockets()
    loop = asyncio.get_running_loop()
    stop, again = asyncio.Event(), asyncio.Event()
    async with service(display.without_output(config) if display else config, state) as running:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        log.info("listening", proxies=len(config.proxies), devices=len(config.devices), state=str(state))
        running.manager.notify("READY=1", "STATUS=looking for proxies")
        tasks = [asyncio.create_task(_reload_when(again, running, display))]
        if display is not None:
            tasks.append(asyncio.create_task(display.run()))
        await stop.wait()
        running.manager.notify("STOPPING=1")
        log.info("stopping")
        for task in tasks:
            task.cancel()
    log.info("stopped")
    if running.stuck:
        if display is not None:
            display.close()
        # A thread that waits for a disk cannot be ended, and an orderly exit of the interpreter would wait for it.
        os._exit(1)


def _allow_many_sockets() -> None:
    """A proxy needs two sockets. The usual soft limit of 1,024 exists for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _reload_when(again: asyncio.Event, running: Service, display: Display | None) -> None:
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
            await running.reload(display.without_output(config) if display else config)
        except ConfigError as error:
            for problem in error.problems:
                log.error("devices.toml was not taken; the old one stays", problem=str(problem))  # noqa: TRY400  as above
        except Exception:  # a defect in our own code must not end all later reloads
            log.exception("devices.toml could not be taken as a whole")
        else:
            log.info("devices.toml was read again", proxies=len(config.proxies), devices=len(config.devices))
        running.manager.notify("READY=1")
