"""history and export: stored readings as a table, CSV and JSON Lines."""

import csv
import io
import json

from support.control_service import HOSTILE, READINGS

from proxy_listener.model.reading import as_json


def test_history_is_a_table_oldest_first(call, state):
    """Values in words, events too."""
    lines = call("history", "Bedroom", "--state", state).stdout.splitlines()
    assert [line.split("-61")[1].strip() for line in lines[1:]] == [
        "temperature 21.3 °C",
        "humidity 46.7 %, door yes",
        "button press",
    ]
    assert len(call("history", "Bedroom", "--limit", 1, "--state", state).stdout.splitlines()) == 2


def test_history_within_a_range(call, state):
    """Times as ISO 8601; how long ago; nonsense is a slip of usage."""
    words = ["history", "Bedroom", "--json", "--state", state]
    assert len(json.loads(call(*words, "--since", "2026-11-22T18:04:07Z").stdout)) == 2
    assert len(json.loads(call(*words, "--until", "2026-11-22T18:04:07Z").stdout)) == 1
    assert json.loads(call(*words, "--since", "2d").stdout) is not None
    assert call(*words, "--since", "yesterdayish").exit_code == 2


def test_csv_has_a_column_for_each_quantity(call, state):
    """A cell that a spreadsheet would compute gets an apostrophe."""
    rows = list(csv.DictReader(io.StringIO(call("history", "Bedroom", "--csv", "--state", state).stdout)))
    assert [(row["temperature"], row["humidity"], row["door"], row["events"]) for row in rows] == [
        ("21.3", "", "", ""),
        ("", "46.7", "true", ""),
        ("", "", "", "button press"),
    ]
    assert {row["proxy"] for row in rows} == {"'" + HOSTILE}


def test_export_gives_every_reading_as_it_is(call, state):
    """JSON Lines, byte for byte what a sink would write; or the readings of one device."""
    lines = call("export", "--state", state).stdout.splitlines()
    assert lines == [as_json(one) for one in READINGS]
    assert call("export", "Attic", "--state", state).stdout.splitlines() == lines[3:]


def test_export_to_a_file(call, state, tmp_path):
    """CSV with a head and a row for each reading; an output that cannot be had fails in words."""
    result = call("export", "--format", "csv", "-o", tmp_path / "x.csv", "--state", state)
    assert (result.exit_code, result.stdout) == (0, "")
    assert len((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(READINGS)
    result = call("export", "-o", tmp_path / "no" / "x", "--state", state)
    assert (result.exit_code, result.stderr) == (1, f"{tmp_path}/no/x: No such file or directory\n")
