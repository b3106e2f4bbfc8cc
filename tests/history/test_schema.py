"""The tables, and a reading as a row and back."""

import sqlite3
from contextlib import closing

import attrs
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.history.migration import fill
from proxy_listener.history.schema import COLUMNS, INSERT, SELECTED, Row, record_of, row_of
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
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        fill(connection)
        connection.execute(INSERT, record_of(Row(id_, reading)))
        (record,) = connection.execute(f"SELECT {SELECTED} FROM reading").fetchall()
    row = row_of(record)
    assert row == Row(id_, reading)
    assert {k: type(v) for k, v in row.reading.values.items()} == {k: type(v) for k, v in reading.values.items()}


def test_every_field_of_a_reading_is_a_column_and_every_column_is_in_the_table():
    """A field without a column would be lost; the order in the table does not matter."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        fill(connection)
        table = {name for _, name, *_ in connection.execute("PRAGMA table_info(reading)")}
    columns = {column.name for column in COLUMNS}
    assert columns == {field.name for field in attrs.fields(Reading)}
    assert table == columns | {"id"}
