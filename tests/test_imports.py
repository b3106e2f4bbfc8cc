"""The IO line: which room imports what, held against the imports of every file."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxy_listener

PACKAGE = Path(proxy_listener.__file__).parent

ABOVE = {"model", "formats", "gatt", "engine"}
"""Above the IO line: no clock, no socket, no log, no chance."""

FORBIDDEN_ABOVE = {"asyncio", "time", "socket", "logging", "random", "threading", "structlog", "sqlite3"}

ROOMS: dict[str, tuple[set[str], set[str]]] = {
    # room: (what of ours it may import, as "room" or "room.module"; third parties)
    "model": (set(), {"attrs"}),
    "formats": ({"model"}, {"attrs", "cryptography"}),
    "gatt": ({"model"}, {"attrs", "cryptography"}),
    "engine": ({"model", "formats"}, {"attrs"}),
    "proxies": ({"model", "state"}, {"attrs", "structlog", "aioesphomeapi", "google", "zeroconf"}),
    "node": ({"model"}, {"attrs", "structlog", "aioesphomeapi", "noise", "zeroconf", "google", "cryptography"}),
    "share": (
        {"model", "node", "state"},
        {"attrs", "structlog", "aioesphomeapi", "google", "ifaddr", "zeroconf"},
    ),
    "simulator": ({"model", "formats", "gatt", "node"}, {"attrs", "structlog", "cryptography", "google", "zeroconf"}),
    "history": ({"model"}, {"attrs", "structlog"}),
    "capture": ({"model"}, {"attrs", "structlog"}),
    "reads": ({"model", "gatt", "engine.routing"}, {"attrs", "structlog"}),
    "sinks": (
        {"model", "history"},
        {"attrs", "structlog", "aiomqtt", "paho", "prometheus_client", "aiohttp"},
    ),
    "web": ({"model", "history", "reads", "engine.coverage", "state"}, {"attrs", "structlog", "aiohttp"}),
    "config": ({"model", "sinks", "state"}, {"attrs", "cattrs", "tomlkit"}),
    "supervisor": ({"model"}, {"structlog"}),
    "state": ({"model"}, set()),
    "systemd": (set(), set()),
    "logs": ({"model"}, {"structlog", "rich"}),
    "pipeline": ({"model", "formats", "engine", "history", "config"}, {"attrs", "structlog"}),
}

LEAVES = {"service", "cli", "__main__"}
"""They may import everything; nobody but each other imports them."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield parts[0], path


def imports(path: Path, *, names: bool = False) -> set[str]:
    """Full names of the modules that a module imports, also those inside functions and ``if TYPE_CHECKING``.

    With ``names``, each imported name behind its module: a module of a package is imported like that, too.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            if names or node.module == "proxy_listener":
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                found.add(str(node.module))
    return found


STANDARD = sys.stdlib_module_names

MODULES = [pytest.param(room, path, id=str(path.relative_to(PACKAGE))) for room, path in modules()]


def allows(allowed: set[str], room: str, name: str) -> bool:
    """Whether ``name``, the full name of a module of ours, is in the room itself or in what it may import."""
    ours = name.removeprefix("proxy_listener.")
    return any(ours == each or ours.startswith(each + ".") for each in allowed | {room})


@pytest.mark.parametrize(("room", "path"), MODULES)
def test_every_module_imports_only_what_its_room_may(room, path):
    """The table holds for every file."""
    names = imports(path)
    ours = {name for name in names if name.startswith("proxy_listener.")} - {"proxy_listener.__version__"}
    others = {"attrs" if name == "attr" else name.split(".")[0] for name in names} - STANDARD - {"proxy_listener"}
    if room in LEAVES or (path.name == "__init__.py" and path.parent == PACKAGE):
        return
    allowed, libraries = ROOMS[room]
    wrong = {name for name in ours if not allows(allowed, room, name)}
    assert not wrong, f"{path.name} imports {wrong}"
    assert others <= libraries, f"{path.name} imports {others - libraries}"


@pytest.mark.parametrize(("room", "path"), [each for each in MODULES if each.values[0] in ABOVE])
def test_nothing_above_the_io_line_knows_time_sockets_logs_or_chance(room, path):
    """Time arrives as an argument or inside the advertisement."""
    names = {name.split(".")[0] for name in imports(path)}
    assert not names & FORBIDDEN_ABOVE


def module_of(name: str) -> str | None:
    """The module that an imported name stands in; None where it is not of the package."""
    while name.startswith("proxy_listener"):
        path = PACKAGE.parent.joinpath(*name.split("."))
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return name
        name = name.rpartition(".")[0]
    return None


def graph() -> dict[str, set[str]]:
    """Every module of the package -> the modules that it imports by name, wherever in the file the import stands."""
    edges: dict[str, set[str]] = {}
    for _, path in modules():
        parts = ("proxy_listener", *path.relative_to(PACKAGE).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found = {module_of(each) for each in imports(path, names=True)} - {None, name, "proxy_listener"}
        edges[name] = {str(each) for each in found}
    return edges


def test_no_module_imports_itself_by_way_of_others():
    """No import circle, file by file."""
    edges, done, path = graph(), set(), []

    def visit(name: str) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for each in sorted(edges[name]):
            visit(each)
        path.pop()
        done.add(name)

    for name in sorted(edges):
        visit(name)


def test_only_the_demo_imports_the_simulator():
    """What is simulated has no part in the service."""
    importers = {
        path.relative_to(PACKAGE)
        for room, path in modules()
        if room != "simulator" and any(name.startswith("proxy_listener.simulator") for name in imports(path))
    }
    assert importers == {Path("cli/demo.py"), Path("cli/demo_summary.py")}
