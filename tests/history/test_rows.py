"""Rows: what a reading is in SQLite, and back."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.history.rows import Row, columns, row_of
from proxy_listener.model.reading import Event, Reading

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
VALUE = NUMBER | st.booleans() | TEXT
VALUES = st.dictionaries(TEXT, VALUE, max_size=4)
READINGS = st.builds(
    Reading,
    time=st.floats(0, 4e9),
    mac=st.integers(0, 2**48 - 1),
    name=TEXT,
    model=TEXT,
    source=st.sampled_from(["advertisement", "read", "history"]),
    proxy=TEXT,
    room=TEXT,
    rssi=st.none() | st.integers(-127, 20),
    counter=st.none() | st.integers(0, 2**32 - 1),
    trust=st.sampled_from(["authenticated", "encrypted", "claimed"]),
    late=st.booleans(),
    values=VALUES,
    events=st.lists(st.builds(Event, TEXT, TEXT, VALUES), max_size=3).map(tuple),
    fires=st.booleans(),
    stale=st.frozensets(TEXT, max_size=3),
    identity=st.binary(max_size=20),
)


@given(st.integers(1, 2**62), READINGS)
def test_a_reading_survives_the_journal_unchanged(id_, reading):
    """Through real SQLite every field comes back equal and of the same type: 1 stays 1, 1.0 stays 1.0."""
    connection = sqlite3.connect(":memory:")
    marks = ", ".join("?" * 17)
    (record,) = connection.execute(f"VALUES ({marks})", columns(Row(id_, reading))).fetchall()
    connection.close()
    row = row_of(record)
    assert row == Row(id_, reading)
    assert {k: type(v) for k, v in row.reading.values.items()} == {k: type(v) for k, v in reading.values.items()}
