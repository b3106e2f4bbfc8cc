"""One word for one thing: class names, and the knowledge that stands in one module."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import proxy_listener

PACKAGE = Path(proxy_listener.__file__).parent
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def test_no_two_classes_have_one_name():
    """Only each sink's ``Settings`` may, because the configuration finds it by that name."""
    places = defaultdict(list)
    for name, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and node.name != "Settings":
                places[node.name].append(name)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_only_the_duplicate_rule_takes_an_identity_apart():
    """No other module slices an identity, or knows the length of its parts."""
    apart = re.compile(r"identity\)?\[|identity\[|from_bytes\((row\.|frame\.)?identity")
    assert {name for name, source in SOURCES.items() if apart.search(source)} == {"engine/dedup.py"}


def test_shared_constants_and_mechanisms_are_defined_once():
    """What stood in several files has one place."""
    definitions = {
        r'float\("-inf"\)': {"model/timing.py", "engine/routing.py", "formats/layout.py"},  # NEVER; dBm; no lower limit
        r"NOT_A_PROXY, ProxyState\.NOT_ACCEPTED": {"model/status.py"},
        r"class \w*Bucket\b": {"model/rate.py"},
    }
    found = {
        pattern: {name for name, source in SOURCES.items() if re.search(pattern, source)} for pattern in definitions
    }
    assert found == definitions
