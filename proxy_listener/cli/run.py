"""The verb ``run``: the service in the foreground, stopped and reloaded by signals.

It imports nothing that the service does not need, because it stays in memory.
"""

import asyncio
import os
import resource
import signal
import sys
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import attrs
import click
import structlog

from proxy_listener.cli.verb import Options, Verb
from proxy_listener.config import Config, doubts, load
from proxy_listener.model.errors import ConfigError, ProxyListenerError
from proxy_listener.model.status import Reloaded
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
        rereader = Rereader(running, display)
        running.reread = rereader.reread
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        log.info("listening", proxies=len(config.proxies), devices=len(config.devices), state=str(state))
        running.manager.notify("READY=1", "STATUS=looking for proxies")
        tasks = [asyncio.create_task(rereader.when(again))]
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


class Rereader:
    """Reads the configuration file of a running service again, one time after the other."""

    def __init__(self, running: Service, display: Display | None) -> None:
        self._running = running
        self._display = display
        self._lock = asyncio.Lock()

    async def reread(self) -> Reloaded:
        """Take the file as it is now. ProxyListenerError where it has errors; then the old configuration stays."""
        path = self._running.config.path
        if path is None:
            raise ProxyListenerError("there is no configuration file to read again")
        async with self._lock:
            self._running.manager.notify_reloading()
            try:
                config = await asyncio.to_thread(load, path)
                note = await self._running.reload(self._display.without_output(config) if self._display else config)
            except ConfigError as error:
                text = "the configuration was not taken; the old one stays"
                for problem in error.problems:
                    log.error(text, path=str(path), problem=str(problem))  # noqa: TRY400  an expected error
                raise
            except Exception:  # a defect in our own code must not end all later reloads
                log.exception("the configuration could not be taken as a whole", path=str(path))
                raise ProxyListenerError(f"{path} could not be taken as a whole; the log says why") from None
            finally:
                self._running.manager.notify("READY=1")
        counts = {"proxies": len(config.proxies), "devices": len(config.devices)}
        log.info("the configuration was read again", path=str(path), **counts)
        return Reloaded(str(path.absolute()), **counts, note=note)

    async def when(self, again: asyncio.Event) -> None:
        """Read it again at each signal. Errors are in the log."""
        while True:
            await again.wait()
            again.clear()
            with suppress(ProxyListenerError):
                await self.reread()
