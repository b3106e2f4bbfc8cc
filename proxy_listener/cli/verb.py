"""What all verbs share: their options, how an expected error is told, and the exit status that it gives.

::

    0 ok    1 failed    2 usage    69 no running service    78 bad configuration

The rule of this file: an expected error is one line for people on standard error, never a traceback; results alone go
to standard output.
"""

import io
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from proxy_listener import __version__
from proxy_listener.model.errors import ConfigError, Problem, ProxyListenerError

if TYPE_CHECKING:
    from proxy_listener.config import Config

F = TypeVar("F", bound=Callable[..., Any])

FAILED, NO_SERVICE, BAD_CONFIGURATION = 1, 69, 78
"""DESIGN's; 69 and 78 are EX_UNAVAILABLE and EX_CONFIG of sysexits.h."""

START_HERE = "make a first one with: proxy-listener init; or see it work without any: proxy-listener demo"


class NotRunningError(ProxyListenerError):
    """Nothing answers at the control socket."""


@attrs.define
class Options:
    """The options of a call, whichever verb it is."""

    config: Path | None = None
    state: Path | None = None
    verbose: bool = False
    log_json: bool = False
    no_color: bool = False
    json: bool = False

    def load(self) -> "Config":
        """The configuration; ConfigError where there is none."""
        from proxy_listener.config import load

        return load(self.file())

    def file(self) -> Path:
        """The configuration file; ConfigError where there is none."""
        from proxy_listener.config import find, places

        path = find(self.config)
        if path is None:
            looked = ", ".join(map(str, places()))
            raise ConfigError([Problem("no configuration found", f"looked for {looked}; {START_HERE}")])
        return path

    def load_or_default(self) -> "Config":
        """The configuration that was named or found, else that of an empty file."""
        from proxy_listener.config import Config, find, load

        path = find(self.config)
        return Config() if path is None else load(path)

    def state_directory(self) -> Path:
        """Where the service keeps its things."""
        from proxy_listener.state import state_directory

        return state_directory(self.state)

    def colored(self) -> bool:
        """Whether standard output is a terminal that wants colours (https://no-color.org)."""
        return sys.stdout.isatty() and not self.no_color and not os.environ.get("NO_COLOR")

    def start_logs(self, *, quiet: bool = False) -> None:
        """Logs, as asked for."""
        from proxy_listener import logs

        logs.configure(verbose=self.verbose, quiet=quiet, as_json=self.log_json)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    setattr(context.ensure_object(Options), str(parameter.name), value)


def _option(*names: str, **more: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, callback=_keep, **more)


def _fill_standard_streams() -> None:
    """Where a standard stream is closed, the next file opened would take its number, and be written readings into."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


class Verb(click.Command):
    """A verb with the options of all verbs. Its function takes the :class:`Options` first (``click.pass_obj``)."""

    listing = False

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        path = click.Path(path_type=Path, readable=False)
        if self.listing:
            self.params.append(_option("--json", is_flag=True, help="Print JSON."))
        self.params += [
            _option(
                "-c", "--config", type=path, metavar="FILE", help="The configuration, instead of the usual places."
            ),
            _option("--state", type=path, metavar="DIR", help="The state directory, instead of the usual one."),
            _option("-v", "--verbose", is_flag=True, help="Log more."),
            _option("--log-json", is_flag=True, help="Log JSON Lines."),
            _option("--no-color", is_flag=True, help="No colours."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; expected errors end here."""
        # A core file of this process would hold keys.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _fill_standard_streams()
        options = ctx.ensure_object(Options)
        options.start_logs()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # The JSON of a reading is UTF-8, whatever the locale says.
            sys.stdout.reconfigure(encoding="utf-8")
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _tell(str(error))
            ctx.exit(BAD_CONFIGURATION)
        except NotRunningError as error:
            _tell(str(error))
            ctx.exit(NO_SERVICE)
        except ProxyListenerError as error:
            _tell(str(error))
            ctx.exit(FAILED)
        except BrokenPipeError:
            raise
        except OSError as error:
            _tell(f"{error.filename or 'the system'}: {error.strerror or error}")
            ctx.exit(FAILED)


class Listing(Verb):
    """A verb that lists: it has ``--json``."""

    listing = True


def nearest(path: Path) -> Path:
    """The path itself, or the nearest above it that is there, as far as this user can see."""
    for there in (path, *path.absolute().parents):
        try:
            if there.exists():
                return there
        except PermissionError:
            # It is in a folder that this user cannot look into; what is above that can be seen.
            continue
    return Path("/")


def _tell(text: str) -> None:
    from proxy_listener.logs import escaped

    for line in text.splitlines():
        click.echo(escaped(line), err=True)


class Verbs(click.Group):
    """The verbs in the order in which they were written down, which is the order of a first day."""

    command_class = Verb

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """As they stand."""
        return list(self.commands)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="proxy-listener")
def main() -> None:
    """One pair of ears out of many ESPHome Bluetooth proxies: every Xiaomi reading once."""
