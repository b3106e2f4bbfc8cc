"""The verb ``init``: the nodes found and the user's answers in, a first ``devices.toml`` out.

With ``--print`` it prints the file that runs the program as a service instead, and writes nothing.
"""

import asyncio
import os
import sys
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any, Literal, TypeAlias

import click
import tomlkit
from tomlkit.items import AoT, Table

from proxy_listener.cli.discover import BROWSE, find_nodes
from proxy_listener.cli.doctor import server
from proxy_listener.cli.output import cell
from proxy_listener.cli.verb import Options, Verb, nearest_existing
from proxy_listener.config import Config, load
from proxy_listener.config.fields import FieldError
from proxy_listener.config.secrets import noise_key
from proxy_listener.engine.newcomers import Trial
from proxy_listener.history import Journal
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.text import loopback, split_endpoint
from proxy_listener.pipeline import Pipeline
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.proxies.survey import FoundNode

HEAD = """\
# The configuration of proxy-listener. `proxy-listener check` says what it would make run.
# All keys and their meaning are in the devices.toml of the project's repository.

"""

PAGE, NETWORK_PAGE = "127.0.0.1:8099", "0.0.0.0:8099"

Page: TypeAlias = Literal["", "machine", "network"]
"""Whom the page is for."""

LISTEN = 15.0
"""Seconds of listening for devices: most send every few seconds, and proxies are connected within two."""

NEXT = (
    ("keys import FILE", "the bindkeys of encrypted sensors, from a key extractor's file"),
    ("check", "what would run"),
    ("doctor", "what is wrong, and what to do"),
    ("run", "listen"),
    ("init --print systemd", "the unit that starts it with the machine"),
)

SERVICE_FILES = {"systemd": "proxy-listener.service", "containerfile": "Containerfile", "compose": "compose.yaml"}

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  the user said that others need it
"""Of this machine."""

INSTALLED = "/opt/proxy-listener"
"""Where the program is according to the unit in ``deploy/``."""

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  names of directories, nothing is put there
"""Directories that the unit's ProtectHome and PrivateTmp hide from the service."""


@click.command(cls=Verb)
@click.option("--seconds", type=click.FloatRange(1, 60), default=BROWSE, show_default=True, help="How long to look.")
@click.option(
    "--interface", "interfaces", multiple=True, metavar="ADDRESS", help="Look on this address of this machine only."
)
@click.option(
    "--print",
    "printed",
    type=click.Choice(list(SERVICE_FILES)),
    help="Instead, print the file that makes a service of it: a systemd unit, a Containerfile, a compose file.",
)
@click.option(
    "--listen",
    type=click.FloatRange(0, 600),
    default=LISTEN,
    show_default=True,
    help="How long to listen for devices at the end, in seconds; 0: not at all.",
)
@click.pass_obj
def init(options: Options, seconds: float, interfaces: tuple[str, ...], printed: str | None, listen: float) -> None:
    """Find the proxies, ask for keys, and write a first devices.toml."""
    if printed is not None:
        click.echo(service_file(printed), nl=False)
        if printed == "systemd" and (warning := hidden_program()):
            click.echo(cell(warning), err=True)
        return
    path = options.config or Path("devices.toml")
    _check_writable(path)
    click.echo(f"looking for ESPHome nodes for {seconds:g} s ...")
    try:
        nodes = find_nodes(DiscoverySettings(accept="listed", interfaces=interfaces), (), None, seconds)
    except ProxyListenerError as error:
        click.echo(cell(str(error)), err=True)
        nodes = []
    click.echo(f"found {len(nodes)}: {', '.join(cell(node.name) for node in nodes)}" if nodes else "found none")
    file, asked = _ask_about_shared_key(interfaces, nodes)
    for node in asked:
        _ask_about_node(file, node)
    _ask_about_broker(file)
    _ask_about_page(file)
    _ask_about_sharing(file)
    _write_new(path, file.text())
    click.echo(f"wrote {cell(str(path))}, readable by you only")
    if file.page == "network":
        click.echo("the page asks for the token that stands under [web] in it")
    if file.shared:
        click.echo("Home Assistant asks for the key that stands under [share] in it; what to do there: docs/sharing.md")
    if file.has_proxies and listen:
        _list_devices(path, listen)
    click.echo("Next:")
    named = [verb if options.config is None or verb.startswith("init") else f"{verb} -c {path}" for verb, _ in NEXT]
    for verb, (_, purpose) in zip(named, NEXT, strict=True):
        click.echo(cell(f"  proxy-listener {verb:<{max(map(len, named))}}  {purpose}"))


def _ask_about_shared_key(
    interfaces: tuple[str, ...], nodes: Sequence[FoundNode]
) -> tuple["InitFile", list[FoundNode]]:
    """Ask for the shared key until a node accepts it, or the answer is empty."""
    while True:
        shared = _ask_key("Noise key that your proxies share (not shown; empty if each has its own)")
        file = InitFile(DiscoverySettings(accept="listed", noise_psk=shared, interfaces=interfaces))
        asked = _with_key(file.discovery, nodes)
        if shared is None or not asked or any(node.used or node.proxy is False for node in asked):
            return file, asked
        click.echo("no node accepts this key; each node's key is in its YAML, under api: encryption: key", err=True)


def _with_key(discovery: DiscoverySettings, nodes: Sequence[FoundNode]) -> list[FoundNode]:
    """The same nodes, each asked with the shared key at the address where it was found."""
    seen = {node.name: node for node in nodes}
    places = {name: place for name, node in seen.items() if (place := split_endpoint(node.address))}
    entries = [ProxySettings(name, seen[name].mac, host=host, port=port) for name, (host, port) in places.items()]
    return find_nodes(discovery, entries, None, 0.0) if entries else []


def _ask_about_node(file: "InitFile", node: FoundNode) -> None:
    """Ask for the room and, if it is missing, the key of a proxy. Nothing is asked about a node that is no proxy."""
    name = cell(node.name)
    if node.proxy is False:
        click.echo(f"{name}: {cell(node.why)}")
        return
    key = None
    if not node.used:
        # The advice behind the cause is for somebody who edits the file.
        click.echo(f"{name}: {cell(node.why.partition(';')[0])}")
        key = _ask_key(f"Noise key of {name} (not shown; empty: leave it out)")
        if key is None:
            return
    room = click.prompt(f"Room of {name}", default=cell(node.area or node.room))
    file.add_proxy(node.name, node.mac, room, key)


def _ask_about_broker(file: "InitFile") -> None:
    """Ask for the broker, and try it at once; what is wrong can be corrected as often as wanted."""
    question = "MQTT broker (host name; empty: readings go to standard output)"
    while host := click.prompt(question, default="", show_default=False):
        user = click.prompt("  user (empty: none)", default="", show_default=False)
        password, tls = "", False
        if user:
            hidden = sys.stdin.isatty()
            password = click.prompt("  password (not shown)", default="", show_default=False, hide_input=hidden)
            tls = click.confirm("  does the broker speak TLS?", default=True)
        file.set_broker(host, user, password, tls=tls)
        wrong = _broker_fault(host, user, password, tls=tls)
        if wrong is None:
            click.echo("  the broker answers and lets us in")
            return
        click.echo(cell(f"  {wrong}"), err=True)
        if click.confirm("  keep it all the same?", default=False):
            return
        file.set_no_broker()


def _broker_fault(host: str, user: str, password: str, *, tls: bool) -> str | None:
    """Why readings cannot go to the broker; None where it answers, and accepts the login."""
    try:
        from proxy_listener.sinks.mqtt.settings import Settings  # an optional extra is behind it
    except ImportError:
        return "the MQTT client is not installed: pip install '.[mqtt]' in the folder of the project"
    plain = bool(user) and not tls and not loopback(host)
    secret = Secret(password) if password else None
    finding = server("mqtt", Settings(host=host, user=user or None, password=secret, tls=tls, insecure=plain))
    return None if finding.state == "ok" else finding.detail


def _ask_about_page(file: "InitFile") -> None:
    """The page: for this machine, for the network with a token that is made here, or none."""
    question = f"The page: (1) for this machine, http://{PAGE}, (2) for your network, with a token, (3) none"
    answer = click.prompt(question, type=click.Choice(["1", "2", "3"]), default="1", show_choices=False)
    pages: dict[str, Page] = {"1": "machine", "2": "network", "3": ""}
    file.page = pages[answer]


def _ask_about_sharing(file: "InitFile") -> None:
    """Whether other clients need the proxies, too; with a key that is made here."""
    question = "Does Home Assistant, or another program, use these proxies, too? They are then served to it by this one"
    file.shared = click.confirm(question, default=False)


def _list_devices(path: Path, seconds: float) -> None:
    """Listen through the new configuration for a while, and say of each device that is heard what it needs."""
    click.echo(f"listening for {seconds:g} s ...")
    heard = asyncio.run(_heard(load(path), seconds))
    for address, trial in heard:
        needs = "sends encrypted: needs its bindkey" if trial.encrypted else "needs nothing"
        if trial.model.reader:
            needs += ", and a [[device]] entry to be read over a connection"
        click.echo(cell(f"  {mac_text(address)}  {trial.model.name:<20} {trial.rssi} dBm at {trial.proxy:<20} {needs}"))
    if not heard:
        click.echo("  no device heard yet; some send once in ten minutes or only when something happens")


async def _heard(config: Config, seconds: float) -> list[tuple[Address, Trial]]:
    loop = asyncio.get_running_loop()
    journal = Journal(None)
    pipeline = Pipeline(config, journal, room=str, heard=loop.time(), time=time.time())
    fleet = Fleet(config.discovery, config.proxies, pipeline.hear, foreign=pipeline.foreign)
    running = asyncio.ensure_future(fleet.run())
    await asyncio.wait([running], timeout=seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.close()
    return list(pipeline.devices.newcomers)


def _ask_key(question: str) -> Secret | None:
    """Ask until the answer is a Noise key; None for an empty answer."""
    while text := click.prompt(question, default="", show_default=False, hide_input=sys.stdin.isatty()).strip():
        try:
            return noise_key(Secret(text))
        except FieldError as error:
            click.echo(str(error), err=True)
    return None


def _check_writable(path: Path) -> None:
    """Refuse, before the first question, to overwrite a file or to write where the user cannot."""
    if path.exists() or path.is_symlink():
        raise ProxyListenerError(f"{path} exists and is not overwritten; name another file with -c")
    there = nearest_existing(path.absolute().parent)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ProxyListenerError(f"{there} is not a folder that you can write to; name another file with -c")


def _write_new(path: Path, text: str) -> None:
    """Write a new file that only its owner can read. A file that was made meanwhile is not overwritten."""
    _check_writable(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


class InitFile:
    """The text of a first ``devices.toml``. tomlkit quotes every value, because names come from the network."""

    def __init__(self, discovery: DiscoverySettings) -> None:
        self.discovery = discovery
        self._proxies: list[Table] = []
        self.page: Page = ""
        self.shared = False
        self.set_no_broker()

    @property
    def has_proxies(self) -> bool:
        """Whether it has an entry for a proxy."""
        return bool(self._proxies)

    def set_no_broker(self) -> None:
        """Readings go to standard output."""
        self._sink: tuple[str, dict[str, Any]] = ("jsonl", {"path": "-"})

    def add_proxy(self, name: str, mac: Address | None, room: str, key: Secret | None) -> None:
        """Add an entry for a node."""
        values = {
            "name": name,
            "mac": None if mac is None else mac_text(mac),
            "room": room,
            "noise_psk": None if key is None else key.reveal(),
        }
        self._proxies.append(_table(values))

    def set_broker(self, host: str, user: str, password: str, tls: bool) -> None:
        """Send readings to this MQTT broker. Without ``tls`` the password is sent unencrypted."""
        values: dict[str, Any] = {"host": host}
        if user:
            values |= {"user": user, "password": password or None}
            if not loopback(host):
                values["tls" if tls else "insecure"] = True
        self._sink = "mqtt", values

    def text(self) -> str:
        """The file."""
        key = self.discovery.noise_psk
        document = tomlkit.parse(HEAD)
        document["discovery"] = _table(
            {
                "accept": "keyed",
                "noise_psk": None if key is None else key.reveal(),
                "interfaces": list(self.discovery.interfaces) or None,
            }
        )
        if self._proxies:
            document["proxy"] = AoT(self._proxies)
        name, values = self._sink
        document["sink"] = tomlkit.table(is_super_table=True).add(name, _table(values))
        if self.page == "machine":
            document["web"] = _table({"listen": PAGE})
        elif self.page == "network":
            document["web"] = _table({"listen": NETWORK_PAGE, "token": token_hex(16)})
        if self.shared:
            key_made = b64encode(token_bytes(32)).decode()
            document["share"] = _table({"listen": EVERY_ADDRESS, "noise_psk": key_made})
        return document.as_string()


def _table(values: dict[str, Any]) -> Table:
    """The values that are not None, and an empty line."""
    table = tomlkit.table()
    for key, value in values.items():
        if value is not None:
            table[key] = value
    return table.add(tomlkit.nl())


def service_file(kind: str) -> str:
    """A file of ``deploy/``. The unit starts the program of this environment."""
    text = files("proxy_listener").joinpath("deploy", SERVICE_FILES[kind]).read_text(encoding="utf-8")
    return text.replace(INSTALLED, sys.prefix) if kind == "systemd" else text


def hidden_program(places: Iterable[str] = (sys.prefix, sys.base_prefix)) -> str | None:
    """Why the unit could not start this program, with what to do; None where it could.

    ``places``: where the environment and its Python are. An environment in /opt may use a Python in a home directory.
    """
    hidden = [place for place in places if any(Path(place).resolve().is_relative_to(one) for one in HIDDEN)]
    if not hidden:
        return None
    return (
        f"the unit hides {' and '.join(hidden)} from the service (ProtectHome, PrivateTmp), and the program is there; "
        "make its environment in /opt/proxy-listener, with the system's own Python, and print the unit with that one"
    )
