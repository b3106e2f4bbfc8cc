"""Where the tests of a module are: in ``tests/<room>/test_<module>.py``, with few exceptions."""

from pathlib import Path

import proxy_listener

PACKAGE = Path(proxy_listener.__file__).parent
TESTS = Path(__file__).parent

EXCEPTIONS = {
    "engine/memory.py": "a protocol and a value; test_pipeline.py tests the one over the journal",
    "formats/xiaomi/bodies.py": "a decoder of objects; every row has vectors in test_vectors.py",
    "formats/xiaomi/buttons.py": "a decoder of objects; every row has vectors in test_vectors.py",
    "formats/xiaomi/hhcc.py": "a decoder; its vectors are in test_vectors.py",
    "formats/xiaomi/locks.py": "a decoder of objects; every row has vectors in test_vectors.py",
    "formats/xiaomi/states.py": "a decoder of objects; every row has vectors in test_vectors.py",
    "model/errors.py": "exceptions only",
    "model/history.py": "values only",
    "model/outcome.py": "values only",
    "model/settings.py": "values only",
    "model/timing.py": "constants only",
    "node/air.py": "protocols and values only",
    "node/messages.py": "the library's generated messages, used by every test of the node",
    "node/settings.py": "values only",
    "proxies/timing.py": "values only",
    "reads/interface.py": "protocols and values; test_queue.py and test_read.py use all of them",
    "simulator/generate.py": "every test of the house uses it; test_house.py compares seeds",
    "simulator/lywsd02_table.py": "a table; test_lywsd02.py reads it through the device",
    "simulator/profile.py": "values only",
    "simulator/profiles.py": "a table; test_virtual_time.py decodes what each row sends",
    "simulator/traffic.py": "merges what devices and phones send; test_virtual_time.py",
}
"""Modules without a test file of their own name, and why."""


def own_test(module: Path) -> Path:
    return TESTS / module.parent / f"test_{module.name}"


def modules() -> set[Path]:
    found = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return {module for module in found if not module.name.startswith("__")}


def test_every_module_has_a_test_file_of_its_name():
    """``proxy_listener/<room>/<module>.py`` is tested by ``tests/<room>/test_<module>.py``."""
    missing = {str(module) for module in modules() if not own_test(module).exists()}
    assert missing - EXCEPTIONS.keys() == set()


def test_no_exception_is_out_of_date():
    """Every exception is a module of the package that has no test file of its name."""
    listed = {Path(name) for name in EXCEPTIONS}
    assert listed - modules() == set()
    assert {str(module) for module in listed if own_test(module).exists()} == set()
