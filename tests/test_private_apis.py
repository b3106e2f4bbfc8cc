"""Every private or undocumented part of a library that the package uses, and why.

An upgrade that removes one of them fails here, by name, and not in a running service.
"""

import ast
import asyncio
import inspect
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import aiomqtt
import attrs
import pytest
from aioesphomeapi.client import APIClient
from aiohttp import web

import proxy_listener

PACKAGE = Path(proxy_listener.__file__).parent


@attrs.frozen
class Use:
    """One private name. ``where``: the module that uses it, and explains why at that place."""

    library: str
    name: str  # module:attribute, or a module
    where: str
    why: str

    def missing(self):
        """The message of a failing test."""
        return (
            f"{self.library} {version(self.library)} has no {self.name} any more. {self.where} uses it: {self.why}. "
            f"Find another way there, or keep {self.library} below this version in pyproject.toml."
        )


USES = [
    Use("zeroconf", "zeroconf._dns:DNSPointer", "proxies/discovery.py", "returning nodes are seen by their PTR record"),
    Use("zeroconf", "zeroconf._dns:DNSQuestion", "proxies/discovery.py", "a node that moved is asked for by mDNS"),
    Use("zeroconf", "zeroconf._dns:DNSRecord", "proxies/discovery.py", "type of the records that listeners receive"),
    Use("zeroconf", "zeroconf._dns:DNSText", "proxies/discovery.py", "nodes of one name are told apart as they come"),
    Use("zeroconf", "zeroconf._protocol.outgoing:DNSOutgoing", "proxies/discovery.py", "carries these questions"),
    Use(
        "aioesphomeapi",
        "aioesphomeapi.connection:APIConnection._socket",
        "proxies/client.py",
        "the socket is replaced by one that detects floods, and is read together with others",
    ),
    Use(
        "aioesphomeapi",
        "aioesphomeapi.connection:APIConnection.send_message_callback_response",
        "proxies/client.py",
        "the public call to list entities keeps everything that a node sends",
    ),
    Use(
        "aioesphomeapi",
        "aioesphomeapi.core:MESSAGE_TYPE_TO_PROTO",
        "node/messages.py",
        "the numbers of messages that a node reads",
    ),
    Use("aioesphomeapi", "aioesphomeapi.noise:decode_noise_psk", "node/wire.py", "keys are read as the client does"),
    Use("aiohttp", "aiohttp.web_protocol:RequestHandler", "web/server.py", "connections are counted before a request"),
    Use("aiomqtt", "aiomqtt:Client._on_connect", "sinks/mqtt/client.py", "reads the broker's receive maximum"),
    Use("aiomqtt", "aiomqtt:Client._on_disconnect", "sinks/mqtt/client.py", "a socket closed before CONNACK"),
    Use("aiomqtt", "aiomqtt:Client._on_publish", "sinks/mqtt/client.py", "reads why a publication was refused"),
    Use("aiomqtt", "aiomqtt:Client._on_socket_open", "sinks/mqtt/client.py", "closes sockets opened after a timeout"),
]
"""Class members and modules. What exists on instances only is checked below."""

OF_MQTT_CLIENTS = {"_client", "_connected", "_disconnected", "_loop"}
OF_PAHO = {"_sock_recv", "_in_packet"}
ON_INSTANCES = {"_connection"} | OF_MQTT_CLIENTS | OF_PAHO

DOCUMENTED = {"_replace", "_make", "_exit"}
"""Public in spite of their underscore: of named tuples, and of ``os``."""


def lookup(name):
    module, _, path = name.partition(":")
    found = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_private_names_exist(use):
    """Each name can be imported."""
    try:
        lookup(use.name)
    except (ImportError, AttributeError):
        pytest.fail(use.missing())


async def test_the_connection_of_a_client():
    """``APIClient._connection`` is None before there is a connection; proxies/client.py reads it."""
    removed = f"aioesphomeapi {version('aioesphomeapi')} has no APIClient._connection any more: see proxies/client.py"
    assert hasattr(APIClient("127.0.0.1", 6053, None), "_connection"), removed


async def test_the_parts_of_an_mqtt_client():
    """paho's client and two futures, and paho calls the methods that sinks/mqtt/client.py overrides."""
    client = aiomqtt.Client("127.0.0.1")
    changed = f"aiomqtt {version('aiomqtt')} changed what sinks/mqtt/client.py uses: "
    for name in OF_MQTT_CLIENTS:
        assert hasattr(client, name), f"{changed}Client.{name} is gone"
    assert isinstance(client._connected, asyncio.Future), f"{changed}_connected is no future"
    assert isinstance(client._disconnected, asyncio.Future), f"{changed}_disconnected is no future"
    for name in OF_PAHO:
        assert hasattr(client._client, name), f"{changed}paho's client has no {name}, by which packets are limited"
    assert {"command", "have_remaining"} <= client._client._in_packet.keys(), f"{changed}paho's packets have other keys"
    assert callable(client._client.socket), f"{changed}paho's client has no socket()"
    assert client._client.connect_timeout > 0, f"{changed}paho's client has no connect_timeout"
    for event in ("connect", "disconnect", "publish", "socket_open"):
        ours = getattr(client, f"_on_{event}")
        assert getattr(client._client, f"on_{event}") == ours, f"{changed}_on_{event} is not paho's callback"
    parameters = {
        "_on_connect": ["client", "userdata", "flags", "reason_code", "properties"],
        "_on_disconnect": ["client", "userdata", "flags", "reason_code", "properties"],
        "_on_publish": ["client", "userdata", "mid", "reason_code", "properties"],
        "_on_socket_open": ["client", "userdata", "sock"],
    }
    for name, expected in parameters.items():
        found = list(inspect.signature(getattr(client, name)).parameters)
        assert found == expected, f"{changed}{name} has the parameters {found}"


async def test_the_server_of_aiohttp():
    """It makes a protocol per connection and lists those that are open; web/server.py counts them."""
    server = web.Server(lambda _request: web.Response())
    assert isinstance(server(), asyncio.Protocol)
    assert len(server.connections) == 0


def defined(tree):
    """Names of functions, classes and attributes of ``self`` that a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def private_uses(tree, own):
    """Private modules that a file imports, and private attributes that are none of the package's own."""
    here = set(defined(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.module.startswith(("proxy_listener", "__future__")):
            if any(part.startswith("_") for part in node.module.split(".")):
                yield from (f"{node.module}:{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield from {node.attr} - DOCUMENTED - (own if is_self(node.value) else here)


def is_self(node):
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def test_nothing_private_is_used_that_is_not_listed():
    """Private modules and attributes of libraries in the whole package are rows of the lists above."""
    listed = {use.name for use in USES} | {use.name.rpartition(".")[2] for use in USES} | ON_INSTANCES
    trees = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    own = {name for tree in trees.values() for name in defined(tree)}
    found = {path: set(private_uses(tree, own)) - listed for path, tree in trees.items()}
    assert {path: names for path, names in found.items() if names} == {}
