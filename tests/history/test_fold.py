"""Folding: derived tables from rows, whatever was folded before, and whatever the rows hold."""

import json
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_readings import MAC, T0, journal_at, reading

from proxy_listener.history.fold import fold, position
from proxy_listener.history.migration import fill
from proxy_listener.history.schema import INSERT, REMOVE_FROM_INDEXES, Row, record_of
from proxy_listener.model.reading import Event

DERIVED = (
    "by_device",
    "by_time",
    "by_arrival",
    "by_event",
    "by_log",
    "identity",
    "latest",
    "device",
    "summary",
    "fold",
)

made = st.builds(
    reading,
    st.integers(0, 5000),
    mac=st.integers(MAC, MAC + 2),
    source=st.sampled_from(["advertisement", "read", "history"]),
    trust=st.sampled_from(["authenticated", "claimed"]),
    values=st.dictionaries(
        st.sampled_from(["temperature", "door", "firmware"]), st.integers(-5, 5) | st.booleans() | st.sampled_from("ab")
    ),
    events=st.sampled_from([(), (Event("button", "press"),)]),
    stale=st.sampled_from([frozenset(), frozenset({"temperature"})]),
)


def filled(readings, *, every):
    """A database with these rows, folded after each ``every`` rows and at the end."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    fill(connection)
    for number, one in enumerate(readings, 1):
        connection.execute(INSERT, record_of(Row(number, one)))
        if number % every == 0:
            fold(connection)
    fold(connection)
    return connection


def contents(connection):
    return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in DERIVED}


@given(st.lists(made, max_size=30), st.integers(1, 10))
def test_the_derived_tables_do_not_depend_on_how_often_rows_are_folded(readings, every):
    """Folded row by row, some at a time or all at once: the same identities, live state, counts and summaries."""
    with closing(filled(readings, every=every)) as some, closing(filled(readings, every=1000)) as once:
        assert contents(some) == contents(once)


def test_what_the_derived_tables_hold():
    """Worked by hand: a stale value and a log's entry do not move the live state; a flag counts as 0 or 1."""
    rows = [
        reading(0, values={"temperature": 20.5, "door": True}),
        reading(60, values={"temperature": 21.5}, events=(Event("button", "press"),)),
        reading(30, values={"temperature": 9.0}, stale=frozenset({"temperature"}), late=True),
        reading(700, values={"temperature": 5.0}, source="history", trust="claimed", identity=b""),
    ]
    with closing(filled(rows, every=2)) as connection:
        found = contents(connection)
    slot = int(T0 // 600)
    assert found["latest"] == [(MAC, "door", "true", T0, 0), (MAC, "temperature", "21.5", T0 + 60, 60)]
    assert found["device"] == [(MAC, "Bedroom climate", "LYWSD03MMC", T0 + 700, 4)]
    assert found["summary"] == [
        (MAC, "door", slot, 1.0, 1.0, 1.0, 1),
        (MAC, "temperature", slot, 9.0, 21.5, 51.0, 3),
        (MAC, "temperature", slot + 1, 5.0, 5.0, 5.0, 1),
    ]
    assert (found["by_event"], found["by_log"]) == ([(MAC, T0 + 60, 2)], [(MAC, T0 + 700, 4)])
    assert found["by_arrival"] == [(MAC, 1), (MAC, 2), (MAC, 3)]
    assert found["fold"] == [(1, 4)]
    assert len(found["identity"]) == 3


def test_a_number_keeps_all_its_digits_in_the_live_state():
    """SQLite's own JSON functions would round it to 15 digits."""
    with closing(filled([reading(0, values={"temperature": 0.1 + 0.2})], every=1)) as connection:
        assert json.loads(connection.execute("SELECT value FROM latest").fetchone()[0]) == 0.1 + 0.2


@pytest.mark.parametrize("column", ['"values"', "stale", "events", "name", "identity"])
def test_a_garbled_row_does_not_stop_the_fold(column):
    """Flipped bits in one row: it is indexed as far as it can be, and the other rows are whole."""
    with closing(filled([], every=1)) as connection:
        for number in (1, 2, 3):
            connection.execute(INSERT, record_of(Row(number, reading(number))))
        garbled = "x'ff00'" if column == "identity" else "CAST(x'7bff5b' AS TEXT)"
        connection.execute(f"UPDATE reading SET {column} = {garbled} WHERE id = 2")
        assert fold(connection) == position(connection) == 3
        assert [id_ for _, _, id_ in connection.execute("SELECT * FROM by_device")] == [1, 2, 3]
        assert connection.execute("SELECT counter FROM latest").fetchall() == [(3,)]


def test_enormous_numbers_do_not_stop_the_fold():
    """Numbers whose sum is infinite have no summary; their row is there."""
    rows = [reading(number, values={"temperature": 1.7e308, "score": -(10**400)}) for number in range(3)]
    with closing(filled(rows, every=5)) as connection:
        found = contents(connection)
    assert (found["summary"], len(found["by_time"])) == ([], 3)


def test_a_removed_row_leaves_every_index():
    """The writer's connection has a trigger for it; identities stay."""
    with closing(filled([reading(0, events=(Event("button", "press"),)), reading(9)], every=5)) as connection:
        connection.execute(REMOVE_FROM_INDEXES)
        connection.execute("DELETE FROM reading WHERE id = 1")
        found = contents(connection)
    assert [len(found[table]) for table in DERIVED[:6]] == [1, 1, 1, 0, 0, 2]


async def test_rows_that_a_killed_process_left_are_folded_at_the_start(tmp_path):
    """The file of a process that folded nothing: its frames are known, and its live state is there."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(10):
            journal.append(reading(number))
        await journal.flush()
        for part in tmp_path.glob("h.db*"):
            (tmp_path / part.name.replace("h.", "killed.")).write_bytes(part.read_bytes())
    with closing(sqlite3.connect(tmp_path / "killed.db")) as connection:
        assert position(connection) == 0
    async with journal_at(tmp_path / "killed.db") as journal:
        assert position(journal._store.connection) == 10
        assert all(journal.known(MAC, reading(number).identity) for number in range(10))
        assert journal.reader.latest(MAC)["temperature"].time == T0 + 9
