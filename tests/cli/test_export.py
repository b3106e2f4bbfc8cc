"""The verbs history and export: stored readings as a table, CSV and JSON Lines."""

import csv
import io
import json

from support.control_service import HOSTILE, READINGS

from proxy_listener.model.reading import as_json


def test_history_is_a_table_oldest_first(call, state):
    """It shows values and events in words."""
    lines = call("history", "Bedroom", "--state", state).stdout.splitlines()
    assert [line.split("-61")[1].strip() for line in lines[1:]] == [
        "temperature 21.3 °C",
        "humidity 46.7 %, door yes",
        "button press",
    ]
    assert len(call("history", "Bedroom", "--limit", 1, "--state", state).stdout.splitlines()) == 2


def test_history_takes_a_range(call, state):
    """Times are ISO 8601 or how long ago; anything else is a usage error."""
    words = ["history", "Bedroom", "--json", "--state", state]
    assert len(json.loads(call(*words, "--since", "2026-11-22T18:04:07Z").stdout)) == 2
    assert len(json.loads(call(*words, "--until", "2026-11-22T18:04:07Z").stdout)) == 1
    assert json.loads(call(*words, "--since", "2d").stdout) is not None
    assert call(*words, "--since", "yesterdayish").exit_code == 2


def test_csv_has_a_column_for_each_quantity(call, state):
    """A cell that a spreadsheet would take for a formula gets an apostrophe."""
    rows = list(csv.DictReader(io.StringIO(call("history", "Bedroom", "--csv", "--state", state).stdout)))
    assert [(row["temperature"], row["humidity"], row["door"], row["events"]) for row in rows] == [
        ("21.3", "", "", ""),
        ("", "46.7", "true", ""),
        ("", "", "", "button press"),
    ]
    assert {row["proxy"] for row in rows} == {"'" + HOSTILE}


def test_export_gives_every_reading(call, state):
    """JSON Lines, byte for byte as the jsonl sink writes them; or the readings of one device."""
    lines = call("export", "--state", state).stdout.splitlines()
    assert lines == [as_json(one) for one in READINGS]
    assert call("export", "Attic", "--state", state).stdout.splitlines() == lines[3:]


def test_export_writes_a_file(call, state, tmp_path):
    """CSV has a head and a row for each reading. A file that cannot be opened is an error."""
    result = call("export", "--format", "csv", "-o", tmp_path / "x.csv", "--state", state)
    assert (result.exit_code, result.stdout) == (0, "")
    assert len((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(READINGS)
    result = call("export", "-o", tmp_path / "no" / "x", "--state", state)
    assert (result.exit_code, result.stderr) == (1, f"{tmp_path}/no/x: No such file or directory\n")


def test_the_name_of_the_file_says_the_format(call, state, tmp_path):
    """Unless --format does. A suffix that names none is an error, and no file is made."""
    for name, more, first in (
        ("a.csv", (), "time,mac"),
        ("a.jsonl", (), "{"),
        ("a.csv", ("--format", "jsonl"), "{"),
        ("a.xlsx", ("--format", "csv"), "time,mac"),
        ("plain", (), "{"),
    ):
        assert call("export", "-o", tmp_path / name, *more, "--state", state).exit_code == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(first)
    result = call("export", "-o", tmp_path / "b.xlsx", "--state", state)
    assert (result.exit_code, (tmp_path / "b.xlsx").exists()) == (2, False)
    assert ".xlsx names no format of an export; add --format csv or --format jsonl" in result.stderr


def test_a_reversed_range_is_an_error(call, state):
    """It says which way round it is."""
    for verb in (["history", "Bedroom"], ["export"]):
        result = call(*verb, "--since", "1h", "--until", "2h", "--state", state)
        assert result.exit_code == 2
        assert "--since is not before --until" in result.stderr
