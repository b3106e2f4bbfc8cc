"""The whole service over a simulated house: real TCP, Noise, SQLite, signals and a process that can be killed."""

import asyncio
import json
import os
import random
import signal

import pytest
import tomlkit
from structlog.testing import capture_logs
from support.service_house import (
    PATIENCE,
    lines_of,
    readings_of,
    running_process,
    standing_house,
    stored,
    take,
    write_configuration,
)
from support.terminal import on_terminal

from proxy_listener.config import Config, load
from proxy_listener.history import Journal
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.status import ProxyState
from proxy_listener.service import service
from proxy_listener.simulator.comparison import compare
from proxy_listener.state import single_instance

pytestmark = pytest.mark.mdns("listed")


async def test_what_the_rooms_heard_is_read_once_and_committed(tmp_path):
    async with standing_house() as house:
        config = load(write_configuration(tmp_path / "devices.toml", house))
        async with service(config, tmp_path / "state") as running:
            with running.journal.feed(1000) as feed:
                await take(feed, 25)
                await house.stop_sending()
                # What the nodes hold was sent by now; all of it is there once a reading came of every frame heard.
                await take(feed, len(list(house.truth.expected())) - 25)
            assert running.live() == 3
    journal = Journal(tmp_path / "state" / "history.db")
    readings = [row.reading async for row in journal.reader.export()]
    await journal.close()
    comparison = compare(house.truth, readings)
    assert comparison.heard >= 25
    assert comparison.perfect


async def test_a_second_service_of_one_state_directory_is_refused_and_told_who_the_first_is(tmp_path):
    with single_instance(tmp_path), pytest.raises(ProxyListenerError, match=f"process {os.getpid()} already runs"):
        async with service(Config(), tmp_path):
            pass


def test_a_link_in_the_state_directory_leads_to_no_other_file(tmp_path):
    """Who may write into the directory does not get another file of ours emptied."""
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "service.lock").symlink_to(other)
    with pytest.raises(ProxyListenerError, match="cannot be used"), single_instance(tmp_path):
        pass
    assert other.read_text() == "precious"


async def test_leaving_frees_every_proxy(tmp_path):
    """No node waits for its client's silence: each stream is free when the service has ended."""
    async with standing_house() as house:
        config = load(write_configuration(tmp_path / "devices.toml", house))
        async with service(config, tmp_path / "state") as running:
            await readings_of(running, 3)
        assert not any(proxy.node.stream.holder for proxy in house.proxies)


async def test_a_reload_takes_new_names_and_keys_and_touches_no_session(tmp_path):
    async with standing_house() as house:
        path = write_configuration(tmp_path / "devices.toml", house)
        async with service(load(path), tmp_path / "state") as running:
            first = await readings_of(running, 3)
            sessions = [set(map(id, proxy.node.sessions)) for proxy in house.proxies]
            document = house.configuration(static=True)
            for entry in document["device"]:
                entry["name"] = "Renamed " + entry["name"]
            path.write_text(tomlkit.dumps(document))
            await running.reload(load(path))
            later = await readings_of(running, 3)
            assert [set(map(id, proxy.node.sessions)) for proxy in house.proxies] == sessions
    assert not any(reading.name.startswith("Renamed") for reading in first)
    assert all(reading.name.startswith("Renamed") for reading in later)


async def test_frames_kept_without_a_key_become_late_readings_once_the_key_is_entered(tmp_path):
    async with standing_house() as house:
        path = tmp_path / "devices.toml"
        document = house.configuration(static=True)
        keys = {entry["mac"]: entry.pop("bindkey") for entry in document["device"] if "bindkey" in entry}
        path.write_text(tomlkit.dumps(document))
        path.chmod(0o600)
        async with service(load(path), tmp_path / "state") as running:
            async with asyncio.timeout(PATIENCE):
                while sum(running.journal.sealed_counts.values()) < 3:
                    await readings_of(running, 1)
            write_configuration(path, house)
            with running.journal.feed(1000) as feed:
                await running.reload(load(path))
                async with asyncio.timeout(PATIENCE):
                    # Of the kept frames a live copy may still come after the reload, and then that one is the reading.
                    while not (late := (await anext(feed)).reading).late:
                        pass
    assert keys
    assert (late.trust, late.fires) == ("authenticated", False)
    frame = next(f for f in house.truth.frames if (f.mac, f.counter) == (late.mac, late.counter))
    assert frame.values == late.values
    assert frame.time <= late.time <= frame.time + 1.0


async def test_run_prints_json_lines_and_ends_cleanly_on_sigterm(tmp_path):
    async with standing_house() as house:
        write_configuration(tmp_path / "devices.toml", house)
        async with running_process(tmp_path, "run") as process:
            lines = await lines_of(process, 5)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(3.0):
                assert await process.wait() == 0
            errors = (await process.stderr.read()).decode()
    assert [list(line) for line in lines] == [
        [
            "time",
            "mac",
            "name",
            "model",
            "source",
            "proxy",
            "room",
            "rssi",
            "counter",
            "trust",
            "late",
            "values",
            "events",
        ]
    ] * 5
    assert "Traceback" not in errors
    secrets = [device.bindkey.reveal() for device in house.devices if device.bindkey]
    assert not any(secret in errors for secret in [*secrets, house.noise_psk.reveal()])


async def test_run_on_a_terminal_shows_values_and_no_json_lines_also_after_a_reload(tmp_path):
    async with standing_house() as house:
        path = write_configuration(tmp_path / "devices.toml", house)
        async with on_terminal("run", "-c", path, "--state", tmp_path / "state") as terminal:
            await terminal.until(r"\d °C")
            terminal.process.send_signal(signal.SIGHUP)
            await terminal.until(r"was read again(?s:.*)\d °C(?s:.*)\d °C")
            assert '"mac"' not in terminal.text
            assert await terminal.interrupt() == 0


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
async def test_kill_9_loses_nothing_that_was_told_and_tells_nothing_twice(tmp_path, kills):
    """At random moments under load, lines that lay in the pipe included."""
    chance, told = random.Random(kills), []
    async with standing_house(pace=20.0) as house:
        write_configuration(tmp_path / "devices.toml", house)
        for _ in range(kills):
            async with running_process(tmp_path, "run") as process:
                told += await lines_of(process, chance.randint(5, 10))
                await asyncio.sleep(chance.random())
                process.kill()
                told += [
                    json.loads(line) for line in (await process.stdout.read()).splitlines(True) if line[-1:] == b"\n"
                ]
    sent = [(line["mac"].replace(":", ""), line["counter"], str(line["values"]), line["trust"]) for line in told]
    authentic = [frame for frame in sent if frame[-1] == "authenticated"]
    assert len(authentic) == len(set(authentic)) > kills
    assert {frame[:2] for frame in sent} <= stored(tmp_path / "state" / "history.db")


async def test_a_configuration_with_an_error_changes_nothing_on_sighup(tmp_path):
    async with standing_house() as house:
        path = write_configuration(tmp_path / "devices.toml", house)
        async with running_process(tmp_path, "run") as process:
            await lines_of(process, 2)
            path.write_text(path.read_text() + "\n[sevrice]\n")
            process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(PATIENCE):
                while b"was not taken" not in (line := await process.stderr.readline()):
                    assert line, "the service ended"
            assert b"sevrice" in line
            assert await lines_of(process, 2)


async def test_run_without_proxies_waits_and_says_for_what(tmp_path):
    (tmp_path / "devices.toml").write_text('[discovery]\ninterfaces = ["127.0.0.1"]\n')
    config = load(tmp_path / "devices.toml")
    async with service(config, tmp_path / "state") as running:
        running.report_waiting()
        assert running.live() == 0
        assert not [status for status in running.view.proxies() if status.state is ProxyState.LIVE]


async def test_a_history_that_is_gone_is_said_once(tmp_path):
    """At the start after it went, at no other."""
    for lost in (False, False, True, False):
        if lost:
            for file in (tmp_path / "state").glob("history.db*"):
                file.unlink()
        with capture_logs() as logged:
            async with service(Config(sinks={}), tmp_path / "state"):
                pass
        said = [entry for entry in logged if entry["event"].startswith("the history is lost")]
        assert len(said) == lost
