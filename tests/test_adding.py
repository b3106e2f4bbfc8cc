"""What has to be done to add a quantity, an object, a model and a format: done in a copy of the tree, and tried by its
tests.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.generated import COMMAND

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
COPIED = ("proxy_listener", "tests", "docs", ".ci", *PAGES, "devices.toml", "pyproject.toml")
LEFT_BY_RUNS = {"__pycache__", ".pytest_cache", ".hypothesis"}

VECTORS = "tests/formats/xiaomi/test_vectors.py"
DISCOVERY = "tests/sinks/mqtt/test_discovery.py"
DOCS = "tests/test_docs.py"
STATES = ("tests/sinks/mqtt/test_states.py", "tests/sinks/mqtt/test_retained.py", "tests/sinks/test_prometheus.py")
COULD_OBJECT = ("tests/model", "tests/formats", DISCOVERY, *STATES, DOCS)
"""Tests that look at the tables, at what is made from them, or at the documentation."""

PM1 = 'Unit("µg/m³", "grams_per_cubic_meter", per=1_000_000), 0, 1_000, "pm1", periodic=True'
ROWS = {
    # file: after which line, the row
    "proxy_listener/model/quantities.py": (("SCORE = _number", f'PM1 = _number("pm1", {PM1})'),),
    "proxy_listener/formats/xiaomi/objects.py": (
        ("from proxy_listener.model.quantities import (", "    PM1,"),
        ("_STANDARD: Mapping[int, ObjectRow] = {", "    0x1030: layout(u16(PM1)),"),
    ),
    "proxy_listener/formats/xiaomi/models.py": (
        ("from proxy_listener.model.quantities import (", "    PM1,"),
        ("_ROWS = (", '    row(0x7ABC, "XMTEST01", "Air Monitor", (PM1,), V45, buttons=several("up", "down")),'),
    ),
}
CASES = (
    {"product": "0x7ABC", "object": "0x1030", "data": "2300", "values": {"pm1": 35}, "events": []},
    {
        "product": "0x7ABC",
        "object": "0x560C",
        "data": "01",
        "values": {},
        "events": [{"event": "button_down", "type": "press"}],
    },
)


class Copy:
    """A copy of the tree, and its tests."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for name in COPIED:
            subprocess.run(["cp", "-r", ROOT / name, top / name], check=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": str(self.top), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.top, capture_output=True, text=True, check=False, env=environment)

    def failures(self, *tests: str) -> tuple[set[str], str]:
        """Names of the tests that fail, and all that pytest says."""
        marks = "not long and not oracle and not broker"
        done = self.run("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", marks, *tests)
        assert done.returncode in {0, 1}, done.stdout[-3000:] + done.stderr[-3000:]
        return set(re.findall(r"^FAILED \S+?::(\w+)", done.stdout, re.MULTILINE)), done.stdout

    def insert(self, path: str, after: str, row: str) -> None:
        """Put a row behind the only line that begins so."""
        lines = (self.top / path).read_text().split("\n")
        (at,) = [number for number, line in enumerate(lines) if line.startswith(after)]
        lines.insert(at + 1, row)
        (self.top / path).write_text("\n".join(lines))

    def changed(self) -> set[str]:
        """Files that are not as they are in the repository."""
        files = [path.relative_to(self.top) for path in self.top.rglob("*") if path.is_file()]
        kept = [path for path in files if not LEFT_BY_RUNS & set(path.parts)]
        return {
            str(path)
            for path in kept
            if not (ROOT / path).exists() or (ROOT / path).read_bytes() != (self.top / path).read_bytes()
        }


def test_a_row_each_a_vector_and_one_command(tmp_path):
    """A new quantity, object and model are a row each, with a vector each; one command makes the rest.

    Without the vectors, tests fail; with them and without the command, tests fail and name it; then all pass.
    """
    copy = Copy(tmp_path)
    for path, rows in ROWS.items():
        for after, row in rows:
            copy.insert(path, after, row)
    assert copy.failures(VECTORS)[0] == {"test_every_product_has_a_case", "test_every_object_has_a_case"}

    vectors = tmp_path / "tests" / "data" / "made.json"
    vectors.write_text(json.dumps([*json.loads(vectors.read_text()), *CASES]))
    failed, said = copy.failures(DISCOVERY, DOCS)
    assert failed == {
        "test_golden",
        "test_the_golden_file_names_no_other_model",
        "test_what_is_generated_is_up_to_date",
    }
    assert said.count(COMMAND) >= len(failed)

    by_hand = copy.changed()
    assert by_hand == {*ROWS, "tests/data/made.json"}
    regenerated = copy.run(*COMMAND.split()[1:])
    assert regenerated.returncode == 0, regenerated.stderr
    assert copy.changed() - by_hand == set(regenerated.stdout.split())
    assert "tests/data/homeassistant.json" in regenerated.stdout.split()
    failed, said = copy.failures(*COULD_OBJECT)
    assert not failed, said[-3000:]


def test_a_format_is_one_file_and_one_row(tmp_path):
    """The example of the documentation, RuuviTag, with its vectors: a file, its tests, a row in the table, one command.

    It is manufacturer data of a second company, so the search that drops foreign advertisements follows the table, too.
    """
    copy = Copy(tmp_path)
    examples = tmp_path / "docs" / "examples"
    (tmp_path / "proxy_listener" / "formats" / "ruuvi.py").write_bytes((examples / "ruuvi.py").read_bytes())
    (tmp_path / "tests" / "formats" / "test_ruuvi.py").write_bytes((examples / "test_ruuvi.py").read_bytes())
    table = tmp_path / "proxy_listener" / "formats" / "__init__.py"
    text = table.read_text()
    for place, more in (
        (r"(from proxy_listener.formats import .*), xiaomi\n", r"\1, ruuvi, xiaomi\n"),
        (r"(FORMATS: .* = \{.*)\}\n", r"\1, ruuvi.KEY: ruuvi.FORMAT}\n"),
        (r"(PRODUCTS: .* = \(.*)\)\n", r"\1, *ruuvi.PRODUCTS)\n"),
    ):
        text, times = re.subn(place, more, text, count=1)
        assert times == 1, place
    table.write_text(text)
    by_hand = {f"{folder}.py" for folder in ("proxy_listener/formats/ruuvi", "tests/formats/test_ruuvi")}
    assert copy.changed() == {*by_hand, "proxy_listener/formats/__init__.py"}
    assert copy.run(*COMMAND.split()[1:]).returncode == 0
    failed, said = copy.failures(
        "tests/formats", "tests/engine/test_listener.py", "tests/test_layout.py", DISCOVERY, DOCS
    )
    assert not failed, said[-3000:]
