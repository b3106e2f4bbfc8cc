"""The IO line: which room imports what (DESIGN, section 1), held against every module's imports."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxy_listener

PACKAGE = Path(proxy_listener.__file__).parent

VALUES = {"advertisement", "endpoint", "errors", "naming", "outcome", "reading", "secret", "settings", "status"}

RULES = {"dedup", "routing", "budget", "rivals", "slope"}
"""Each decides one thing about one device."""

CORE = RULES | {"xiaomi", "device", "devices", "listener", "sealed", "coverage"}
"""Above the IO line, beside the values: no clock, no socket, no log, no chance."""

FORBIDDEN_ABOVE = {"asyncio", "time", "socket", "logging", "random", "threading", "structlog", "sqlite3"}

ROOMS: dict[str, tuple[set[str], set[str]]] = {
    # room: (rooms of ours, third parties)
    **{value: (VALUES, {"attrs"}) for value in VALUES},
    "xiaomi": (VALUES, {"attrs", "cryptography"}),
    "dedup": (VALUES, {"attrs"}),
    "routing": (VALUES, {"attrs"}),
    "budget": (VALUES | {"dedup"}, {"attrs"}),
    "rivals": (set(), set()),
    "slope": (VALUES, set()),
    "coverage": (VALUES, {"attrs"}),
    "device": (VALUES | RULES | {"xiaomi"}, {"attrs"}),
    "devices": (VALUES | {"xiaomi", "dedup", "routing", "device"}, {"attrs"}),
    "listener": (VALUES | {"xiaomi", "dedup", "routing", "device", "devices"}, {"attrs"}),
    "sealed": (VALUES | {"xiaomi", "dedup", "device", "devices", "listener"}, {"attrs"}),
    "proxies": (VALUES, {"attrs", "structlog", "aioesphomeapi", "google", "zeroconf"}),
    "node": (VALUES, {"attrs", "structlog", "aioesphomeapi", "noise", "zeroconf", "google", "cryptography"}),
    "simulator": (VALUES | {"xiaomi", "node"}, {"attrs", "structlog", "cryptography", "google", "zeroconf"}),
    "history": (VALUES, {"attrs", "structlog"}),
    "capture": (VALUES, {"attrs", "structlog"}),
    "taps": (VALUES | {"capture"}, {"structlog"}),
    "instance": (VALUES, set()),
    "parts": (VALUES, {"structlog"}),
    "logs": (VALUES, {"structlog", "rich"}),
    "reads": (VALUES | {"xiaomi", "routing", "proxies"}, {"attrs", "structlog"}),
    "config": (VALUES | {"sinks"}, {"attrs", "cattrs"}),
    "keys": (VALUES | {"config"}, {"attrs", "tomlkit"}),
    "engine": (VALUES | CORE | {"config", "history"}, {"attrs", "structlog"}),
}

LEAVES = {"app", "cli", "demo", "recording", "replay", "__main__"}
"""They may import everything; nobody but each other imports them."""

SINKS = VALUES | {"history"}
SINK_LIBRARIES = {"attrs", "structlog", "aiomqtt", "paho", "prometheus_client", "aiohttp"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield parts[0], path


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, also those inside functions and ``if TYPE_CHECKING``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(str(node.module))
            if node.module == "proxy_listener":
                found |= {f"proxy_listener.{alias.name}" for alias in node.names}
    return found


def split(names: set[str]) -> tuple[set[str], set[str]]:
    """Rooms of ours, and top-level names of others."""
    ours = {name.split(".")[1] for name in names if name.startswith("proxy_listener.")}
    others = {"attrs" if name == "attr" else name.split(".")[0] for name in names}
    return ours - {"__version__"}, others - {"proxy_listener"}


STANDARD = sys.stdlib_module_names


@pytest.mark.parametrize(
    ("room", "path"), list(modules()), ids=lambda value: str(value) if isinstance(value, str) else value.name
)
def test_every_module_imports_only_what_its_room_may(room, path):
    ours, others = split(imports(path))
    others -= STANDARD
    if room in LEAVES or (path.name == "__init__.py" and path.parent == PACKAGE):
        return
    assert not ours & LEAVES, f"{path.name} imports {ours & LEAVES}"
    if room in {"sinks", "web"}:
        allowed = SINKS | {room} | ({"xiaomi"} if room == "sinks" else {"capture"})
        assert ours <= allowed, f"{path.name} imports {ours - allowed}"
        assert others <= SINK_LIBRARIES, f"{path.name} imports {others - SINK_LIBRARIES}"
        return
    allowed_rooms, allowed_libraries = ROOMS[room]
    assert ours <= allowed_rooms | {room}, f"{path.name} imports {ours - allowed_rooms - {room}}"
    assert others <= allowed_libraries, f"{path.name} imports {others - allowed_libraries}"


@pytest.mark.parametrize(
    ("room", "path"), list(modules()), ids=lambda value: str(value) if isinstance(value, str) else value.name
)
def test_nothing_above_the_io_line_knows_time_sockets_logs_or_chance(room, path):
    if room in VALUES | CORE:
        names = {name.split(".")[0] for name in imports(path)}
        assert not names & FORBIDDEN_ABOVE


def test_nobody_but_the_demo_knows_the_simulator():
    importers = {room for room, path in modules() if "simulator" in split(imports(path))[0]}
    assert importers <= {"demo", "simulator", "cli"}
