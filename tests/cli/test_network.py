"""discover, init and doctor, against a small house of real nodes announced on loopback."""

import asyncio
import json
import shutil
import stat
import subprocess
import sys
import threading

import pytest

from proxy_listener.config import load
from proxy_listener.simulator.house import House

pytestmark = pytest.mark.mdns("alone")

LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def house():
    """Two rooms and nothing that sends, in a thread of its own."""
    ready, done = threading.Event(), threading.Event()
    made = []

    async def live() -> None:
        house = House(seed=7, rooms=2, devices=0, instance="cli")
        made.append(house)
        async with house.running():
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    assert ready.wait(20)
    yield made[0]
    done.set()
    thread.join()


@pytest.fixture
def configured(tmp_path, house):
    """A configuration for that house, as a user would write it."""

    def configured(rest: str = "", psk: str | None = None):
        path = tmp_path / "devices.toml"
        key = psk or house.noise_psk.reveal()
        path.write_text(f'[discovery]\ninterfaces = ["{LOOPBACK}"]\nnoise_psk = "{key}"\n{rest}', encoding="utf-8")
        path.chmod(0o600)
        return path

    return configured


def names(house) -> set[str]:
    return {proxy.name for proxy in house.proxies}


def test_discover_shows_each_node_and_whether_it_is_used(call, house, configured):
    """Those of this house with this key are proxies and used; the key is not shown."""
    result = call("discover", "--json", "--seconds", "3.5", "-c", configured())
    assert result.exit_code == 0
    nodes = {node["node"]: node for node in json.loads(result.stdout) if node["node"] in names(house)}
    assert nodes.keys() == names(house)
    assert all(node["proxy"] and node["used"] and ":" in node["mac"] for node in nodes.values())
    assert house.noise_psk.reveal() not in result.output


def test_init_writes_a_first_configuration_that_is_accepted(call, house, tmp_path):
    """Asked for a key and each room's name; the file is its owner's alone, loads, and is never overwritten."""
    path = tmp_path / "first.toml"
    words = ["init", "-c", path, "--interface", LOOPBACK, "--seconds", "3.5"]
    # A wrong key first, then the right one; then everything as proposed. Other houses on this machine may answer too.
    result = call(*words, given=f"short\n{house.noise_psk.reveal()}\n" + "\n" * 100)
    assert result.exit_code == 0, result.output
    assert "5 characters, expected the base64 of 32 bytes" in result.stderr
    assert house.noise_psk.reveal() not in result.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = load(path)
    assert (config.discovery.noise_psk, config.discovery.interfaces) == (house.noise_psk, (LOOPBACK,))
    assert {proxy.name for proxy in config.proxies} == names(house)
    assert all(proxy.mac is not None and proxy.room for proxy in config.proxies)
    assert list(config.sinks) == ["jsonl"]
    again = call(*words)
    assert again.exit_code == 1
    assert "is not overwritten" in again.stderr
    assert load(path) == config


def test_doctor_finds_nothing_wrong_with_a_good_house(call, house, configured, tmp_path):
    """Only that the service does not run."""
    result = call("doctor", "--json", "-c", configured(), "--state", tmp_path)
    found = {one["what"]: one["state"] for one in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert found["service"] == "warn"
    assert [found[what] for what in ("versions", "configuration", "disk", "mDNS")] == ["ok"] * 4
    assert {found[f"node {name}"] for name in names(house)} == {"ok"}


def test_discover_without_any_network_says_so(tmp_path):
    """A machine of which no interface is up, loopback neither."""
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not leave the network here")
    (tmp_path / "devices.toml").touch()
    words = [*alone, sys.executable, "-m", "proxy_listener", "discover"]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no network interface is up" in result.stderr
    assert "Traceback" not in result.stderr


def test_init_asks_for_nothing_that_it_could_not_write(call, tmp_path):
    """A folder that is missing is made; one that cannot be is told before the first question."""
    (tmp_path / "file").touch()
    result = call("init", "-c", tmp_path / "file" / "devices.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not a folder that you can write to" in result.stderr
    path = tmp_path / "new" / "devices.toml"
    result = call("init", "-c", path, "--interface", LOOPBACK, "--seconds", "1", given="\n" * 100)
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load(path).web.listen == "127.0.0.1:8099"
    assert f"proxy-listener check -c {path}" in result.stdout
