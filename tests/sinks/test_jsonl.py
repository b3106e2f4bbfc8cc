"""JSON Lines: to a file, to a pipe, to a reader that is slow or gone."""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.made_status import reading as made_reading
from support.waiting import until

from proxy_listener.history import Journal
from proxy_listener.model.reading import as_json
from proxy_listener.model.status import View
from proxy_listener.sinks.jsonl import WAITING, Settings, run

VIEW = View(list, list, dict)


def reading(number, **changes):
    """The reading of this number, with its own time."""
    return made_reading(**{"time": 1_700_000_000.0 + number, "counter": number, "room": "Wohnküche", **changes})


@asynccontextmanager
async def sink_to(path):
    """A journal and a sink that runs until the journal closes."""
    journal = Journal(None)
    writing = asyncio.create_task(run(Settings(str(path)), journal, VIEW))
    await asyncio.sleep(0)
    yield journal, writing
    await journal.close()
    async with asyncio.timeout(5):
        await asyncio.gather(writing, return_exceptions=True)


async def written(journal, path, lines):
    """Until the file at the path has so many lines."""
    await journal.flush()
    await until(lambda: path.exists() and path.read_bytes().count(b"\n") >= lines)


async def test_one_line_a_reading_in_order(tmp_path):
    """Each reading is one line of the contract's JSON, appended to what was there."""
    path = tmp_path / "readings.jsonl"
    path.write_text("before\n")
    async with sink_to(path) as (journal, _):
        for number in range(1500):
            journal.append(reading(number))
    assert path.read_text().splitlines() == ["before", *(as_json(reading(number)) for number in range(1500))]


async def test_a_rotated_file_is_opened_again(tmp_path):
    """Renamed away, the old file keeps its lines and a new one gets the next; no signal is needed."""
    path, old = tmp_path / "readings.jsonl", tmp_path / "readings.jsonl.1"
    async with sink_to(path) as (journal, _):
        journal.append(reading(1))
        await written(journal, path, 1)
        path.rename(old)
        journal.append(reading(2))
        await written(journal, path, 1)
    assert old.read_text() == as_json(reading(1)) + "\n"
    assert path.read_text() == as_json(reading(2)) + "\n"


@pytest.mark.parametrize("redirected", [None, "wb", "ab"], ids=["path", "> file", ">> file"])
async def test_a_full_disk_leaves_whole_lines_and_is_logged_once(tmp_path, redirected):
    """A line that did not fit is removed; the log says when that begins and when it ends. Also where standard output
    goes to a file.
    """
    path = tmp_path / "readings.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs() as logged, stdout_to(path, redirected):
        async with sink_to("-" if redirected else path) as (journal, _):
            journal.append(reading(1))
            await written(journal, path, 1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
            try:
                for number in range(2, 5):
                    journal.append(reading(number))
                await journal.flush()
                await until(lambda: logged)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            journal.append(reading(5))
            await written(journal, path, 2)
    assert path.read_text().splitlines() == [as_json(reading(1)), as_json(reading(5))]
    assert [entry["event"] for entry in logged] == ["JSON lines cannot be written", "JSON lines are written again"]
    assert logged[1]["lost"] == 3


@contextmanager
def stdout_to(path, mode):
    """Standard output becomes this file, opened as a shell would; without a mode it stays what it is."""
    kept = os.dup(1)
    if mode:
        with path.open(mode) as file:
            os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@asynccontextmanager
async def stdout_to_pipe():
    """Standard output becomes a pipe; gives the reading end."""
    reader, writer = os.pipe()
    kept = os.dup(1)
    os.dup2(writer, 1)
    os.close(writer)
    try:
        yield reader
    finally:
        os.dup2(kept, 1)
        os.close(kept)


async def test_a_closed_pipe_ends_the_sink():
    """`proxy-listener run | head -1`: no error, no traceback, run() returns."""
    async with stdout_to_pipe() as reader, sink_to("-") as (journal, writing):
        journal.append(reading(1))
        await journal.flush()
        assert await asyncio.to_thread(os.read, reader, 10_000) == as_json(reading(1)).encode() + b"\n"
        os.close(reader)
        journal.append(reading(2))
        await journal.flush()
        async with asyncio.timeout(5):
            assert await writing is None


async def test_a_stalled_reader_stalls_nothing_else():
    """The pipe is full and not read: the journal goes on, the oldest lines are lost, and the newest come when the
    reader reads again.
    """
    async with stdout_to_pipe() as reader, sink_to("-") as (journal, writing):
        other = journal.feed(20_000)
        for number in range(10_000):
            journal.append(reading(number))
            if number % 500 == 499:
                await journal.flush()
        assert len(other.take()) == 10_000
        closing = asyncio.create_task(journal.close())
        lines = b""
        while not lines.endswith(as_json(reading(9_999)).encode() + b"\n"):
            lines += await asyncio.to_thread(os.read, reader, 65_536)
        await closing
        await writing
        os.close(reader)
        whole = lines.decode().splitlines()
        assert WAITING <= len(whole) < 10_000
        assert whole == sorted(whole, key=lambda line: line.split('"time":')[1])
        assert whole[-WAITING:] == [as_json(reading(number)) for number in range(10_000 - WAITING, 10_000)]


STUCK = """
import asyncio
from proxy_listener.history import Journal
from proxy_listener.sinks.jsonl import Settings, run
from proxy_listener.model.status import View
from support.made_status import reading

async def main():
    journal = Journal(None)
    writing = asyncio.create_task(run(Settings(), journal, View(list, list, dict)))
    await asyncio.sleep(0)
    for number in range(3000):
        journal.append(reading(counter=number))
    await journal.flush()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)

asyncio.run(main())
"""


def test_a_stalled_reader_does_not_keep_the_program_alive():
    """The process ends by itself although a write never returns."""
    here = Path(__file__).parents[1]
    child = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, cwd=here)
    try:
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.stdout.close()


async def test_a_value_that_json_cannot_hold_loses_its_own_line_only(tmp_path):
    """A reading with NaN is left out; the next line is written."""
    path = tmp_path / "readings.jsonl"
    async with sink_to(path) as (journal, _):
        journal.append(reading(1, values={"temperature": float("nan")}))
        journal.append(reading(2))
    assert path.read_text() == as_json(reading(2)) + "\n"


@pytest.mark.parametrize("path", ["no/such/directory/x.jsonl", ".", "a\0b"])
async def test_a_path_that_cannot_be_written(path, tmp_path):
    """The sink says why, once, and goes on."""
    with contextlib.chdir(tmp_path), capture_logs() as logged:
        async with sink_to(path) as (journal, _):
            journal.append(reading(1))
            await journal.flush()
            await until(lambda: logged)
            journal.append(reading(2))
    assert [entry["event"] for entry in logged] == ["JSON lines cannot be written"]
