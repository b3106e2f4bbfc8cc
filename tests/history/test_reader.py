"""The reader: what a start asks, and what a disk that cannot be read answers."""

from structlog.testing import capture_logs
from support.made_readings import MAC, T0, journal_at, reading

from proxy_listener.history import Journal, Latest
from proxy_listener.model.history import KnownFrame
from proxy_listener.model.reading import Event


async def test_the_rows_that_the_duplicate_rule_starts_with(tmp_path):
    """newest gives the last 64 advertised rows of one device, oldest first, without reads and log entries."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(100):
            journal.append(reading(number, late=number == 99))
        journal.append(reading(200, source="read", identity=b"", counter=None, trust="claimed"))
        journal.append(reading(201, mac=MAC + 1))
    journal = Journal(tmp_path / "h.db")
    newest = journal.reader.newest(MAC, 64, 600.0, 1024)
    assert [known.identity for known in newest] == [reading(number).identity for number in range(36, 100)]
    assert newest[-1] == KnownFrame(reading(99).identity, "authenticated", T0 + 99, late=True)
    assert {device.mac: device.readings for device in journal.reader.devices()} == {MAC: 101, MAC + 1: 1}
    await journal.close()


async def test_of_a_fast_plain_device_the_rows_of_ten_minutes_are_returned(tmp_path):
    """More than 64 rows where they may still be repeated; of an authenticated device, the index has them all."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(1000):
            journal.append(reading(number, trust="claimed", identity=b"P" + number.to_bytes(5, "big")))
            journal.append(reading(number, mac=MAC + 1))
    journal = Journal(tmp_path / "h.db")
    numbers = [int.from_bytes(known.identity[1:], "big") for known in journal.reader.newest(MAC, 64, 600.0, 1024)]
    assert numbers == list(range(400, 1000))
    assert len(journal.reader.newest(MAC + 1, 64, 600.0, 1024)) == 64
    await journal.close()


async def test_live_state_survives_and_is_not_moved_by_old_values():
    """Stale quantities and entries of a sensor's log are history only."""
    async with journal_at(None) as journal:
        journal.append(reading(10, values={"temperature": 21, "battery": 80}))
        journal.append(
            reading(9, late=True, values={"temperature": 5.5, "humidity": 40.5}, stale=frozenset({"temperature"}))
        )
        journal.append(reading(11, source="history", values={"temperature": -3}, identity=b"", counter=None))
        await journal.flush()
        assert journal.reader.latest(MAC) == {
            "temperature": Latest(21, T0 + 10, 10),
            "battery": Latest(80, T0 + 10, 10),
            "humidity": Latest(40.5, T0 + 9, 9),
        }


async def test_the_last_event_is_the_newest_that_was_fired(tmp_path):
    """One row per device; a late event that was not fired does not count."""
    async with journal_at(tmp_path / "h.db") as journal:
        press, again = (Event("button", "press"),), (Event("button", "double_press"),)
        for one in (
            reading(1, events=press),
            reading(2, events=again),
            reading(3, events=press, late=True, fires=False),
            reading(4),
            reading(5, mac=MAC + 1),
            reading(6, mac=MAC + 2, events=press, late=True, fires=True),
        ):
            journal.append(one)
        await journal.flush()
        happened = await journal.reader.last_events()
        assert {mac: row.reading.counter for mac, row in happened.items()} == {MAC: 2, MAC + 2: 6}


async def test_a_disk_that_cannot_be_read_answers_nothing_and_is_logged_once(tmp_path):
    """Every question has an answer for that case; with the file back, the answers are there again."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        journal.append(reading(1))
        await journal.flush()
        await journal.fold()
        path.rename(tmp_path / "away.db")
        with capture_logs() as logged:
            assert not journal.known(MAC, reading(1).identity)
            assert journal.highest_identity(MAC, b"key!") is None
            assert journal.reader.newest(MAC, 64, 600.0, 1024) == journal.reader.devices() == []
            assert journal.reader.latest(MAC) == await journal.reader.last_events() == {}
        (tmp_path / "away.db").rename(path)
        assert journal.known(MAC, reading(1).identity)
        assert journal.highest_identity(MAC, b"key!") == reading(1).identity
    assert [entry["event"] for entry in logged] == ["history cannot be read", "the last events cannot be read"]
