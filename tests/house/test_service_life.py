"""The life of the service: what it tells systemd, what a reload touches, and who cannot stop whom."""

import asyncio
import os
import signal
import socket
import sys
import threading
import types
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import attrs
import pytest
import tomlkit
from support.service_house import (
    PATIENCE,
    lines_of,
    readings_of,
    running_process,
    standing_house,
    until,
    write_configuration,
)

from proxy_listener import service as app
from proxy_listener.config import load
from proxy_listener.history import Row
from proxy_listener.model.secret import Secret
from proxy_listener.node.node import Node
from proxy_listener.service import service
from proxy_listener.simulator.house import House

pytestmark = pytest.mark.mdns("listed")

OTHER_PSK = Secret("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")


class Systemd:
    """The other end of the notify socket."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self.words = []

    async def until(self, word):
        """Every assignment up to one that begins so, which is returned."""
        async with asyncio.timeout(PATIENCE):
            while True:
                text = (await asyncio.get_running_loop().sock_recv(self._socket, 65536)).decode()
                self.words += text.splitlines()
                found = [line for line in text.splitlines() if line.startswith(word)]
                if found:
                    return found[0]

    def forget(self):
        """What was said and not yet read."""
        try:
            while True:
                self._socket.recv(65536)
        except BlockingIOError:
            self.words.clear()

    def close(self):
        self._socket.close()


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    listening = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    yield listening
    listening.close()


async def test_systemd_is_told_of_the_whole_life(tmp_path, systemd):
    """READY; STATUS and WATCHDOG again and again; RELOADING with its time, then READY; STOPPING; and status 0."""
    async with standing_house() as house:
        write_configuration(tmp_path / "devices.toml", house)
        async with running_process(tmp_path, "run") as process:
            await systemd.until("READY=1")
            await lines_of(process, 3)
            await systemd.until("STATUS=3 of 3 proxies live")
            await systemd.until("WATCHDOG=1")
            process.send_signal(signal.SIGHUP)
            await systemd.until("RELOADING=1")
            assert int((await said(systemd, "MONOTONIC_USEC=")).partition("=")[2]) > 0
            await systemd.until("READY=1")
            process.send_signal(signal.SIGTERM)
            await systemd.until("STOPPING=1")
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 0


async def said(systemd, word):
    return next(line for line in systemd.words if line.startswith(word))


async def test_the_watchdog_starves_where_readings_cannot_flow(tmp_path, systemd):
    """The fleet does not run: a STATUS, and no WATCHDOG, until it does again."""
    async with standing_house() as house:
        config = load(write_configuration(tmp_path / "devices.toml", house))
        async with service(attrs.evolve(config, sinks={}), tmp_path / "state") as running:
            await readings_of(running, 1)
            await systemd.until("WATCHDOG=1")

            await running._parts.stop("proxies")
            systemd.forget()
            await systemd.until("STATUS=")
            await systemd.until("STATUS=")
            assert not any(word.startswith("WATCHDOG") for word in systemd.words)
            running._parts.start("proxies", running.fleet.run)
            await systemd.until("WATCHDOG=1")
            await readings_of(running, 1)


async def test_a_disk_that_hangs_starves_the_watchdog_after_a_minute_and_holds_up_no_end(tmp_path, systemd):
    """The writing thread does not come back: live sinks go on, the watchdog is fed for a minute only, and the service
    leaves within its limits, its proxies first."""
    gate = threading.Event()
    async with standing_house() as house:
        config = load(write_configuration(tmp_path / "devices.toml", house))
        loop = asyncio.get_running_loop()
        async with service(attrs.evolve(config, sinks={}), tmp_path / "state") as running:
            await readings_of(running, 1)
            running.journal._thread.submit(gate.wait)
            with running.journal.feed(1000) as feed:
                assert [row.stored for row in await take_rows(feed, 3)] == [False] * 3
            assert running.journal.storage.error == app.STALLED
            now = loop.time()
            for after, fed in ((0.0, True), (59.0, True), (61.0, False)):
                systemd.forget()
                running._notify_manager(now + after)
                assert (await systemd.until("STATUS=")).endswith("history storage fails: the disk does not answer")
                assert ("WATCHDOG=1" in systemd.words) is fed
        assert running.stuck
        assert not any(proxy.node.stream.holder for proxy in house.proxies)
        gate.set()
        await running.journal.close()


async def take_rows(feed, count) -> list[Row]:
    async with asyncio.timeout(PATIENCE):
        return [await anext(feed) for _ in range(count)]


@asynccontextmanager
async def a_sink(name, run):
    """A sink's module of this name, as an author would add it."""
    module = types.ModuleType(f"proxy_listener.sinks.{name}")
    module.run = run
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


async def test_a_sink_that_raises_stops_nothing_else(tmp_path):
    """Neither one that raises at once, nor one whose module cannot be imported, nor one that swallows its end."""
    released, failed = asyncio.Event(), asyncio.Event()

    async def raising(_settings, _journal, _view):
        failed.set()
        raise ZeroDivisionError

    async def deaf(_settings, _journal, _view):
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async with standing_house() as house, a_sink("raising", raising), a_sink("deaf", deaf):
        config = load(write_configuration(tmp_path / "devices.toml", house))
        config = attrs.evolve(config, sinks={"raising": None, "absent": None, "deaf": None})
        async with service(config, tmp_path / "state") as running:
            await asyncio.wait_for(failed.wait(), PATIENCE)
            await readings_of(running, 3)
            assert running.live() == 3
            assert {"sink raising", "sink absent", "sink deaf"} <= set(running._parts.names)
            assert not running._parts.running(frozenset({"sink raising"}))
        assert running.stuck
    released.set()


async def test_a_reload_touches_what_changed_and_no_healthy_session(tmp_path):
    """A room, a device, a proxy's key, the shared key; a proxy gone and one new: the others keep their session."""
    house = House("reload", 4, 8, neighbours=0)
    async with house.running(announced=False):
        path = tmp_path / "devices.toml"
        path.touch(mode=0o600)
        document = house.configuration(static=True)
        fourth = document["proxy"].pop()
        path.write_text(tomlkit.dumps(document))
        async with service(attrs.evolve(load(path), sinks={}), tmp_path / "state") as running:
            await until(lambda: running.live() == 3)
            before = [set(proxy.node.sessions) for proxy in house.proxies]
            document["device"][0]["name"] = "Another name"
            document["proxy"][0]["room"] = "Another room"
            document["proxy"][1]["noise_psk"] = OTHER_PSK.reveal()
            document["discovery"]["noise_psk"] = OTHER_PSK.reveal()
            document["proxy"][2] = fourth
            path.write_text(tomlkit.dumps(document))
            await running.reload(attrs.evolve(load(path), sinks={}))
            await until(lambda: running.live() == 3 and not house.proxies[2].node.sessions)
            after = [set(proxy.node.sessions) for proxy in house.proxies]
            statuses = {status.name: status for status in running.view.proxies()}
            names = {device.mac: device.name for device in running.view.devices()}
    assert statuses[house.proxies[0].name].room == "Another room"
    assert house.proxies[2].name not in statuses
    assert names[house.devices[0].mac] == "Another name"
    assert after[:2] == before[:2]
    assert (len(before[2]), len(after[2])) == (1, 0)
    assert (len(before[3]), len(after[3])) == (0, 1)


async def test_a_second_instance_ends_with_status_1_and_names_the_first(tmp_path):
    async with standing_house() as house:
        write_configuration(tmp_path / "devices.toml", house)
        async with running_process(tmp_path, "run") as first:
            await lines_of(first, 1)
            async with running_process(tmp_path, "run") as second:
                _, errors = await asyncio.wait_for(second.communicate(), PATIENCE)
                assert second.returncode == 1
                assert f"process {first.pid} already runs" in errors.decode()
            await lines_of(first, 1)


class CountingNode(Node):
    """Counts the connections that clients make."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.connections = 0

    def _opened(self, session):
        self.connections += 1
        return super()._opened(session)


@pytest.mark.parametrize("seconds", [2.0, pytest.param(60.0, marks=pytest.mark.long)])
async def test_a_stopped_process_resumes_without_a_storm(tmp_path, seconds):
    """SIGSTOP, then SIGCONT: readings flow again, and each node is connected to at most once more."""
    async with standing_house(node_type=CountingNode) as house:
        write_configuration(tmp_path / "devices.toml", house)
        async with running_process(tmp_path, "run") as process:
            await lines_of(process, 3)
            before = [proxy.node.connections for proxy in house.proxies]
            os.kill(process.pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            os.kill(process.pid, signal.SIGCONT)
            continued = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = {"time": ""}
            while line["time"] < continued:
                (line,) = await lines_of(process, 1)
            await lines_of(process, 10)
            after = [proxy.node.connections for proxy in house.proxies]
    assert before == [1, 1, 1]
    assert max(after) <= 2


HANGING = """
import asyncio, pathlib, sys, time, types
import attrs
from proxy_listener.cli.run import serve
from proxy_listener.config import load

async def run(settings, journal, view):
    journal._thread.submit(time.sleep, 1000)
    print("hangs", flush=True)

module = sys.modules["proxy_listener.sinks.hanging"] = types.ModuleType("hanging")
module.run = run
config = attrs.evolve(load(pathlib.Path(sys.argv[1])), sinks={"hanging": None})
asyncio.run(serve(config, pathlib.Path(sys.argv[2])))
"""


async def test_a_process_whose_disk_hangs_ends_all_the_same(tmp_path):
    """A thread that does not come back cannot be ended; the process says what is lost and ends with status 1."""
    async with standing_house() as house:
        path = write_configuration(tmp_path / "devices.toml", house)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HANGING, str(path), str(tmp_path / "state"), stdout=-1, stderr=-1
        )
        async with asyncio.timeout(PATIENCE):
            while (await process.stdout.readline()).strip() != b"hangs":
                pass
            await until(lambda: all(proxy.node.stream.holder for proxy in house.proxies))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 1
        await process.communicate()
        assert not any(proxy.node.stream.holder for proxy in house.proxies)
