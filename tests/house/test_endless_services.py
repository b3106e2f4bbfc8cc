"""A whole service, as a process, and a proxy that lists a plant's services without end."""

import asyncio
from pathlib import Path

import pytest
import tomlkit
from support.processes import peak, program
from support.service_house import PATIENCE

from proxy_listener.model.advertisement import mac_text

ENDLESS = Path(__file__).parents[1] / "support" / "endless_services.py"
PLANT = mac_text(0xC47C8D6A0001)
MEGABYTES = 120
"""Resident memory at most (docs/protocol/threats.md)."""

pytestmark = pytest.mark.mdns("listed")


async def wait_for(stream, text):
    """The lines up to the one that has this text."""
    lines = ""
    async with asyncio.timeout(PATIENCE):
        while text not in lines:
            lines += (await stream.readline()).decode()
    return lines


async def test_a_read_through_it_costs_no_memory(tmp_path):
    """The read fails and says why, memory stays within the limit, and the proxy is not used for reads any more."""
    pipe = asyncio.subprocess.PIPE
    async with program(ENDLESS, stdout=pipe) as rogue:
        document = {
            "discovery": {"accept": "listed", "interfaces": ["127.0.0.1"]},
            "proxy": [{"name": "rogue", "host": "127.0.0.1", "port": int(await rogue.stdout.readline())}],
            "device": [{"mac": PLANT, "read": "off"}],
        }
        path = tmp_path / "devices.toml"
        path.touch(mode=0o600)
        path.write_text(tomlkit.dumps(document))
        ours = ("-m", "proxy_listener")
        async with program(*ours, "run", "-c", path, "--state", tmp_path, stdout=pipe, stderr=pipe) as service:
            await wait_for(service.stdout, '"moisture"')
            log = asyncio.create_task(wait_for(service.stderr, "proxy is not used for reads for an hour"))
            async with program(*ours, "read", PLANT, "--state", tmp_path, stdout=pipe, stderr=pipe) as read:
                said, errors = await read.communicate()
            assert b"listed more than 1024 services" in said + errors
            assert read.returncode == 1
            assert "listed more than 1024 services" in await log
            assert peak(service.pid) <= MEGABYTES
