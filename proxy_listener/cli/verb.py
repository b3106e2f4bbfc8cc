"""The program and what all verbs share: options, how an expected error is shown, and exit statuses.

::

    0 ok    1 failed    2 usage    69 no running service    78 bad configuration

An expected error is one line on standard error, never a traceback. Standard output has results only.
"""

import io
import os
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import attrs
import click

from proxy_listener import __version__
from proxy_listener.model.errors import ConfigError, Problem, ProxyListenerError

if TYPE_CHECKING:
    from proxy_listener.config import Config

FAILED, NO_SERVICE, BAD_CONFIGURATION = 1, 69, 78
"""69 and 78 are EX_UNAVAILABLE and EX_CONFIG of sysexits.h."""

START_HERE = "make a first one with: proxy-listener init; or see it work without any: proxy-listener demo"

VERBS = {
    "run": ("run", "Listen, until told to stop."),
    "demo": ("demo", "A simulated house through the same engine."),
    "replay": ("replay", "Run captures through the engine."),
    "record": ("record", "Write every advertisement as a capture."),
    "check": ("offline", "Check the configuration, and say what would run."),
    "decode": ("offline", "Explain a frame byte by byte."),
    "discover": ("discover", "Find ESPHome nodes, and say which are used."),
    "init": ("init", "Find the proxies, write a first devices.toml."),
    "doctor": ("doctor", "Say in plain words what is wrong, and what to do."),
    "keys": ("keys", "Bindkeys: import them, test them."),
    "reload": ("reload", "Make the running service read its configuration again."),
    "status": ("status", "The running service: its proxies and their health."),
    "devices": ("status", "Every device and its latest values."),
    "watch": ("status", "Readings as they come."),
    "admit": ("admit", "Admit a device without an entry, or list those that wait."),
    "route": ("status", "Which proxy would read a device, and why."),
    "read": ("status", "Read a device now."),
    "history": ("export", "The readings of DEVICE, oldest first."),
    "coverage": ("status", "What would be lost without a proxy."),
    "export": ("export", "Readings as CSV or JSON Lines."),
}
"""Verb -> its module in this package, and its line in ``--help``; in the order in which a new user needs them."""


class NotRunningError(ProxyListenerError):
    """Nothing answers at the control socket: exit status 69."""


@attrs.define
class Options:
    """The options that all verbs have."""

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
        """The configuration that is named or found, else the defaults."""
        from proxy_listener.config import Config, find, load

        path = find(self.config)
        return Config() if path is None else load(path)

    def state_directory(self) -> Path:
        """The service's state directory."""
        from proxy_listener.state import state_directory

        return state_directory(self.state)

    def colored(self) -> bool:
        """Whether standard output is a terminal that wants colours (https://no-color.org)."""
        return sys.stdout.isatty() and not self.no_color and not os.environ.get("NO_COLOR")

    def start_logs(self, stream: TextIO | None = None) -> None:
        """Set up logging as the options say, to standard error or to ``stream``."""
        from proxy_listener import logs

        logs.configure(verbose=self.verbose, as_json=self.log_json, stream=stream)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    setattr(context.ensure_object(Options), str(parameter.name), value)


def _option(*names: str, **more: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, callback=_keep, **more)


def _fill_standard_streams() -> None:
    """Open /dev/null in place of closed standard streams. The next file opened, such as the history, would otherwise
    get a standard stream's number, and the program's output would be written into it.
    """
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

    def invoke(self, ctx: click.Context) -> None:
        """Run the verb. Expected errors become a line on standard error and an exit status."""
        ctx.ensure_object(Options).start_logs()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # The JSON of a reading is UTF-8, whatever the locale says.
            sys.stdout.reconfigure(encoding="utf-8")
        try:
            super().invoke(ctx)
        except BrokenPipeError:
            raise
        except ConfigError as error:
            status, text = BAD_CONFIGURATION, str(error)
        except NotRunningError as error:
            status, text = NO_SERVICE, str(error)
        except ProxyListenerError as error:
            status, text = FAILED, str(error)
        except OSError as error:
            status, text = FAILED, f"{error.filename or 'the system'}: {error.strerror or error}"
        else:
            return
        _print_error(text)
        ctx.exit(status)


class Listing(Verb):
    """A verb that lists: it has ``--json``."""

    listing = True


def nearest_existing(path: Path) -> Path:
    """The path itself, or the nearest path above it that exists, as far as this user can see."""
    for there in (path, *path.absolute().parents):
        try:
            if there.exists():
                return there
        except PermissionError:
            continue  # it is in a directory that this user cannot search
    return Path("/")


def _print_error(text: str) -> None:
    from proxy_listener.logs import escaped

    for line in text.splitlines():
        click.echo(escaped(line), err=True)


def _import_structlog_without_rich() -> None:
    """Hides rich from structlog, which imports it where it can: 3 MB for a service that never draws on a terminal."""
    if "structlog" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]  # Python's own way to say that there is no such module
        try:
            import_module("structlog")
        finally:
            del sys.modules["rich"]


class Program(click.Group):
    """The group of all verbs. It imports the module of the verb that is called, and no other."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:  # noqa: ARG002  click's signature
        """All verbs, in the order of :data:`VERBS`."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The verb of this name."""
        if cmd_name not in VERBS:
            return None
        if cmd_name == "run" and not sys.stdout.isatty() and not sys.stderr.isatty():
            _import_structlog_without_rich()
        command: click.Command = getattr(import_module(f"proxy_listener.cli.{VERBS[cmd_name][0]}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Protect the process before any key is read or file opened, then run the verb."""
        # A core file of this process would hold keys.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _fill_standard_streams()
        return super().invoke(ctx)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="proxy-listener")
def main() -> None:
    """Listen to many ESPHome Bluetooth proxies, and give every Xiaomi reading once."""
