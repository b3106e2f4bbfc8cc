"""Questions to the history: ranges, curves, garbled rows, hostile text."""

from itertools import count

import pytest
from support.made_readings import MAC, T0, journal_at, numbers, reading

from proxy_listener.history import queries
from proxy_listener.model.reading import Event

HOSTILE = [
    *("\x00", "temperature\n", "*/"),
    "'; DROP TABLE reading; --",
    '"',
    "$",
    "$.temperature",
    "temperature\x00",
    "tempera%",
    "\ud800",
    "",
    "x" * 10_000,
]


@pytest.fixture(params=["no row", "some rows", "every row"])
async def journal(request, tmp_path):
    """A history of which so many rows are folded: every answer is the same."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(0, 7200, 10):
            events = (Event("button", "press", {"n": number}),) if number % 3600 == 0 else ()
            journal.append(reading(number, events=events))
            if number == 3000 and request.param == "some rows":
                await journal.flush()
                await journal.fold()
        journal.append(reading(5, mac=MAC + 1))
        await journal.flush()
        if request.param == "every row":
            await journal.fold()
        yield journal


async def test_ranges(journal):
    """since is inside, until outside; the newest of too many; one device or all; oldest first."""
    rows = await journal.reader.readings(MAC, T0 + 100, T0 + 200)
    assert [row.reading.counter for row in rows] == list(range(100, 200, 10))
    assert [row.reading.counter for row in await journal.reader.readings(MAC, limit=2)] == [7180, 7190]
    assert [row.reading.counter for row in await journal.reader.readings(until=T0 + 11)] == [0, 5, 10]
    assert [row.reading.events[0].properties["n"] for row in await journal.reader.events(MAC)] == [0, 3600]


async def test_hours_with_a_reading_and_times_of_a_log(journal):
    """What an active read asks to find its gaps: hours of any reading, times of log entries only."""
    journal.append(reading(30_000, source="history", identity=b"", counter=None))
    await journal.flush()
    first = int(T0 // 3600)
    assert await journal.reader.hours(MAC, T0) == {first, first + 1, first + 2, int((T0 + 30_000) // 3600)}
    assert await journal.reader.hours(MAC, T0 + 20_000) == {int((T0 + 30_000) // 3600)}
    assert await journal.reader.log_times(MAC) == [T0 + 30_000]


async def test_a_garbled_row_is_left_out_alone(journal):
    """Bytes that are no UTF-8 and JSON that is none, inside sound pages: every other row, and the live state, stand."""
    await journal.fold()
    with journal._store.writing() as connection:
        connection.execute("UPDATE reading SET name = CAST(x'ff41' AS TEXT) WHERE counter = 100")
        connection.execute("UPDATE reading SET \"values\" = '{' WHERE counter = 200")
        connection.execute("UPDATE latest SET value = '{' WHERE mac = ?", (MAC + 1,))
        connection.execute("UPDATE device SET name = CAST(x'ff' AS TEXT) WHERE mac = ?", (MAC + 1,))
    rows = await journal.reader.readings(MAC, T0 + 80, T0 + 220)
    assert [row.reading.counter for row in rows] == [80, 90, *range(100, 200, 10), 210]
    assert rows[2].reading.name == "\ufffdA"
    assert sum(point.samples for point in await journal.reader.points(MAC, "temperature", T0, T0 + 300, 10)) == 29
    assert {device.mac for device in journal.reader.devices()} == {MAC, MAC + 1}
    assert (journal.reader.latest(MAC + 1), len(journal.reader.latest(MAC))) == ({}, 1)


async def test_an_export_is_complete_and_in_order(journal):
    """Over several pages, also where times are equal."""
    for number in range(8000, 10_500):
        journal.append(reading(number, time=T0 + 9000))
    await journal.flush()
    found = await numbers(journal)
    assert len(found) == 721 + 2500
    assert found[721:] == list(range(8000, 10_500))
    assert [row.reading.counter async for row in journal.reader.export(MAC + 1)] == [5]


@pytest.mark.parametrize("buckets", [1, 7, 12, 100, 720])
async def test_a_curve_is_what_the_readings_say(journal, buckets):
    """Each bucket has the least, mean and greatest of its values; wide ones are exact to their 10-minute slots."""
    points = await journal.reader.points(MAC, "temperature", T0, T0 + 7200, buckets)
    values = [20 + number % 50 / 10 for number in range(0, 7200, 10)]
    assert sum(point.samples for point in points) == 720
    assert min(point.low for point in points) == min(values)
    assert max(point.high for point in points) == max(values)
    assert sum(point.mean * point.samples for point in points) == pytest.approx(sum(values))
    width = 7200 / buckets
    assert all(((point.time - T0) / width) % 1 == pytest.approx(0.5) for point in points)
    if width < 600:
        first = [value for number, value in zip(range(0, 7200, 10), values, strict=True) if number < width]
        assert points[0][1:] == (min(first), pytest.approx(sum(first) / len(first)), max(first), len(first))


async def test_buckets_without_a_value_are_left_out(journal):
    """A gap stays a gap; text and missing quantities have no curve; a boolean is 0 or 1."""
    journal.append(reading(20_000, values={"opening": True, "room": "hall"}))
    await journal.flush()
    points = await journal.reader.points(MAC, "temperature", T0, T0 + 14_400, 40)
    assert {point.time < T0 + 7200 for point in points} == {True}
    assert await journal.reader.points(MAC, "room", T0, T0 + 30_000, 40) == []
    assert [point.mean for point in await journal.reader.points(MAC, "opening", T0, T0 + 30_000, 40)] == [1.0]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_finds_nothing_and_breaks_nothing(journal, text):
    """As a quantity, a note or a name."""
    assert await journal.reader.points(MAC, text, T0, T0 + 10, 5) == []
    journal.append(reading(9000, name=text.encode(errors="replace").decode(), values={text: 1}))
    journal.tables.note("n" + text.encode(errors="replace").decode(), text.encode(errors="replace").decode())
    assert await journal.flush()
    assert len(await numbers(journal)) >= 721


async def test_the_curve_of_a_year_is_made_of_summaries(tmp_path):
    """52,560 slots of ten minutes in 1,000 buckets: SQLite takes less than a hundred steps per slot."""
    async with journal_at(tmp_path / "h.db") as journal:
        with journal._store.writing() as connection:
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 52559) "
                "INSERT INTO summary SELECT ?, 'temperature', ? + i, 19, 21, 20 * 10, 10 FROM n",
                (MAC, T0 // 600),
            )
            steps = count()
            connection.set_progress_handler(lambda: next(steps) < 0, 1000)
            points = queries.points(connection, MAC, "temperature", T0, T0 + 365 * 86_400, 1000)
            connection.set_progress_handler(None, 0)
        assert next(steps) * 1000 < 100 * 52_560
        assert len(points) == 1000
        assert sum(point.samples for point in points) == 525_600
