"""The verbs discover and doctor, with real nodes announced on loopback."""

import json
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.mdns("alone")


def names(house) -> set[str]:
    return {proxy.name for proxy in house.proxies}


def test_discover_shows_every_node(call, node_house, node_house_config):
    """Nodes with the key are proxies and used. The key is not shown."""
    result = call("discover", "--json", "--seconds", "3.5", "-c", node_house_config)
    assert result.exit_code == 0
    nodes = {node["node"]: node for node in json.loads(result.stdout) if node["node"] in names(node_house)}
    assert nodes.keys() == names(node_house)
    assert all(node["proxy"] and node["used"] and ":" in node["mac"] for node in nodes.values())
    assert node_house.noise_psk.reveal() not in result.output


def test_doctor_finds_nothing_wrong_with_good_nodes(call, node_house, node_house_config, tmp_path):
    """It only warns that no service runs."""
    result = call("doctor", "--json", "-c", node_house_config, "--state", tmp_path)
    found = {one["what"]: one["state"] for one in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert found["service"] == "warn"
    assert [found[what] for what in ("versions", "configuration", "disk", "mDNS")] == ["ok"] * 4
    assert {found[f"node {name}"] for name in names(node_house)} == {"ok"}


def test_discover_without_a_network_fails(tmp_path):
    """In a network namespace where no interface is up, not even loopback."""
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not leave the network here")
    (tmp_path / "devices.toml").touch()
    words = [*alone, sys.executable, "-m", "proxy_listener", "discover"]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no network interface is up" in result.stderr
    assert "Traceback" not in result.stderr
