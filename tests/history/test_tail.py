"""The tail: what is known of rows that are not folded."""

import sqlite3
from contextlib import closing

from support.made_readings import MAC, T0, reading

from proxy_listener.history.migration import fill
from proxy_listener.history.schema import INSERT, Row, record_of
from proxy_listener.history.tail import Tail

ROWS = [
    Row(1, reading(1)),
    Row(2, reading(7, mac=MAC + 1)),
    Row(5, reading(900)),
    Row(6, reading(30, source="history", identity=b"", trust="claimed")),
    Row(7, reading(31, identity=b"plain", trust="claimed")),
]


def known(tail):
    return (
        tail.rows,
        tail.ids(MAC),
        tail.ids(MAC + 1),
        tail.known(MAC, reading(1).identity),
        tail.known(MAC, reading(900).identity),
        tail.known(MAC + 1, reading(7).identity),
        tail.known(MAC, b"plain"),
        tail.highest_identity(MAC, b"key!"),
        tail.logged(MAC, T0 + 30),
    )


ALL = (5, [1, 5, 6, 7], [2], True, True, True, False, reading(900).identity, True)
BEHIND_5 = (2, [6, 7], [], False, False, False, False, b"", True)
NOTHING = (0, [], [], False, False, False, False, b"", False)


def test_what_is_known_of_the_rows():
    """Authenticated identities, log entries and ids by device; plain identities are not the history's to refuse."""
    tail = Tail()
    tail.add(ROWS)
    assert known(tail) == ALL


def test_folded_rows_leave_it():
    """Up to a position, or all."""
    tail = Tail()
    tail.add(ROWS)
    tail.folded(5)
    assert known(tail) == BEHIND_5
    tail.folded(7)
    assert known(tail) == NOTHING


def test_another_file_has_another_tail():
    """Nothing is left."""
    tail = Tail()
    tail.add(ROWS)
    tail.clear()
    assert known(tail) == NOTHING


def test_a_file_whose_rows_could_not_be_folded():
    """The rows behind its position are loaded."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        fill(connection)
        connection.executemany(INSERT, map(record_of, ROWS))
        tail = Tail()
        tail.load(connection)
        assert known(tail) == ALL
        connection.execute("UPDATE fold SET position = 5")
        tail = Tail()
        tail.load(connection)
        assert known(tail) == BEHIND_5
