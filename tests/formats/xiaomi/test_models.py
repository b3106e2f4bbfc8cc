"""The model table, and how a device is added to it."""

import json
import subprocess
import sys
from pathlib import Path

from proxy_listener.formats.xiaomi.models import HHCCJCY10, MODELS, SCALE_V1, SCALE_V2, model_of

ROOT = Path(__file__).parents[3]


def device_table():
    """README's table of devices, as markdown: one row for each name that a public decoder knows."""
    rows = {}
    for model in (*MODELS.values(), SCALE_V1, SCALE_V2, HHCCJCY10):
        if model.reports != "standard objects":
            rows.setdefault((model.name, model.kind.split(" 10")[0]), []).append(model)
    lines = ["| model | kind | reports | encryption |", "|---|---|---|---|"]
    for (name, kind), models in sorted(rows.items(), key=lambda item: (item[0][1].lower(), item[0][0].lower())):
        lines.append(f"| {name} | {kind} | {models[0].reports} | {models[0].encryption} |")
    return "\n".join(lines)


def test_a_product_without_a_row_is_named_by_its_id():
    """It is a Model all the same, so that its standard objects are decoded."""
    model = model_of(0x5A5A)
    assert (model.name, model.known, model.product_id) == ("0x5A5A", False, 0x5A5A)
    assert model_of(0x055B).name == "LYWSD03MMC"


def test_who_may_be_silent():
    """Locks, buttons, doors, scales and toothbrushes stay available for hours; thermometers and alarm clocks do not."""
    sleepy = [0x0380, 0x1949, 0x098B, 0x3BD5, 0x0806, 0x0153, 0x0A8D, 0x6375, 0x59FA, 0x20DB]
    awake = [0x055B, 0x0576, 0x0C3C, 0x06D3, 0x0098, 0x01AA, 0x520B, 0x3E17]
    assert all(MODELS[product].sleepy for product in sleepy)
    assert not any(MODELS[product].sleepy for product in awake)
    assert SCALE_V1.sleepy
    assert SCALE_V2.sleepy


def test_who_uses_the_legacy_encryption():
    """The five Yeelight remotes and nobody else."""
    assert {product for product, model in MODELS.items() if model.legacy} == {0x0153, 0x03B6, 0x03BF, 0x04E6, 0x068E}


def test_who_can_be_read_over_a_connection():
    """The three flower sensors that speak MiFlora's characteristics."""
    assert {product for product, model in MODELS.items() if model.read} == {0x0098, 0x03BC, 0x015D}


def test_the_device_table_names_every_model():
    """No model that a public decoder knows is missing from what README shows."""
    table = device_table()
    for model in MODELS.values():
        if model.reports != "standard objects":
            assert f"| {model.name} | " in table


def test_a_device_is_one_row_and_one_vector(tmp_path):
    """README's steps, done in a copy: a row in models.py, a case in made.json, no other file; the tests then pass."""
    for name in ("proxy_listener", "tests", "README.md", "pyproject.toml"):
        subprocess.run(["cp", "-r", ROOT / name, tmp_path / name], check=True)
    table = tmp_path / "proxy_listener" / "formats" / "xiaomi" / "models.py"
    row = '_ROWS = (\n    row(0x7ABC, "XMTEST01", "Switch", "buttons", V45, buttons=several("up", "down")),'
    table.write_text(table.read_text().replace("_ROWS = (", row, 1))
    cases = tmp_path / "tests" / "data" / "made.json"
    vectors = json.loads(cases.read_text())
    made = {"product": "0x7ABC", "object": "0x560C", "data": "01", "values": {}}
    vectors.append(made | {"events": [{"event": "button_down", "type": "press"}]})
    cases.write_text(json.dumps(vectors))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=--import-mode=importlib",
        "tests/formats/xiaomi/test_vectors.py",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 0, done.stdout[-2000:]
    vectors.pop()
    cases.write_text(json.dumps(vectors))
    command[-1] += "::test_every_product_has_a_case"
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 1
