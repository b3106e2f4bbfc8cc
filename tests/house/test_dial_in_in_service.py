"""Proxies that call, with the service as a process of its own: readings, reads over a connection, attackers beside."""

import asyncio
import json
import socket
import sys

import pytest
import tomlkit
from support.service_house import PATIENCE, lines_of, running_process

from proxy_listener.model.advertisement import mac_text
from proxy_listener.node import firmware
from proxy_listener.node.settings import DialOut
from proxy_listener.simulator.house import House
from proxy_listener.simulator.miflora import PlantSensor

pytestmark = pytest.mark.mdns("listed")

HOST = "127.0.0.1"
DELAY = 0.2


def free_port():
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def calling_house(path):
    """Two rooms whose nodes call, a plant among the devices, and the configuration for it."""
    dial = DialOut(HOST, free_port(), DELAY)
    # The nodes call before the service listens, which must not cost the test their usual 5, 10, 20 s.
    timing = firmware.NodeTiming(dial_retry=DELAY, dial_longest=DELAY)
    house = House("dial", 2, 8, neighbours=0, firmwares=[firmware.ESPHOME_2026_10], dial=dial, timing=timing)
    document = house.configuration(static=True)
    for entry in document["device"]:
        entry["read"] = "off"
    path.write_text(tomlkit.dumps({**document, "sink": {"jsonl": {"path": "-"}}}))
    path.chmod(0o600)
    return house, dial.port


async def answer_of(directory, *words):
    """What a verb prints as JSON."""
    async with running_process(directory, *words, "--json") as process, asyncio.timeout(PATIENCE):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output)


async def test_readings_and_reads_come_from_nodes_that_call(tmp_path):
    """Nothing in the configuration says where the nodes are; a plant is read through them, beside false callers."""
    house, port = calling_house(tmp_path / "devices.toml")
    plant = next(mac for mac, sensor in house.sensors.items() if isinstance(sensor, PlantSensor))
    async with house.running(announced=False), running_process(tmp_path, "run") as process:
        names = {line["name"] for line in await lines_of(process, 5)}
        assert names <= {device.name for device in house.devices}
        false = [
            await asyncio.open_connection(HOST, port, local_addr=(f"127.1.0.{index}", 0)) for index in range(1, 40)
        ]
        status = await answer_of(tmp_path, "status")
        called = {proxy["name"]: proxy["called_from"] for proxy in status["proxies"]}
        # Loopback is everybody's: nodes of other tests may be among them.
        assert {proxy.name: called[proxy.name] for proxy in house.proxies} == {
            proxy.name: HOST for proxy in house.proxies
        }
        assert status["dial_in"]["error"] is None
        read = await answer_of(tmp_path, "read", mac_text(plant))
        assert read["ok"]
        assert read["values"]["moisture"] == house.sensors[plant].moisture
        for _, writer in false:
            writer.close()


async def test_a_port_in_use_is_told_by_the_verbs(tmp_path):
    """The service runs all the same; doctor fails and says what to change."""
    _, port = calling_house(tmp_path / "devices.toml")
    with socket.create_server((HOST, port)):
        async with running_process(tmp_path, "run") as process:
            async with asyncio.timeout(PATIENCE):
                while b"no node can call" not in await process.stderr.readline():
                    pass
            told = (await answer_of(tmp_path, "status"))["dial_in"]
            assert told == {"listen": f"{HOST}:{port}", "error": "Address already in use", "refused": 0}
            doctor = [sys.executable, "-m", "proxy_listener", "doctor", "-c", str(tmp_path / "devices.toml")]
            checking = await asyncio.create_subprocess_exec(
                *doctor, "--state", str(tmp_path / "state"), stdout=asyncio.subprocess.PIPE
            )
            output, _ = await checking.communicate()
    assert checking.returncode == 1
    assert f"no node can call: {HOST}:{port}: Address already in use" in output.decode()
