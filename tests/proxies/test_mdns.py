"""mDNS that cannot be opened yet, or that fails, is opened again."""

import asyncio
from collections import UserList
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy_listener.proxies.mdns import Mdns

pytestmark = pytest.mark.mdns("alone")


class Made:
    """A Discovery that raises so many times when it starts."""

    def __init__(self, errors):
        self.errors = errors
        self.started = asyncio.Event()
        self.stopped = 0
        self.sightings = {}

    def start(self):
        if self.errors:
            raise self.errors.pop(0)
        self.started.set()

    async def stop(self):
        self.stopped += 1


async def opened(made, interfaces=("127.0.0.1",)):
    mdns = Mdns(lambda _zeroconf: made, lambda: False, retry=0.01)
    mdns.open(interfaces)
    return mdns


async def test_a_failure_of_any_kind_is_not_the_end():
    """What failed is closed before it is opened again."""
    made = Made([OSError(101, "Network is unreachable"), RuntimeError("no loop"), AssertionError()])
    with capture_logs() as lines:
        mdns = await opened(made)
        await asyncio.wait_for(made.started.wait(), 5.0)
    assert mdns.discovery is made
    assert made.stopped == 3
    assert [line["log_level"] for line in lines] == ["warning", "error", "error"]
    await mdns.close()
    assert (mdns.zeroconf, mdns.discovery) == (None, None)


@pytest.mark.parametrize("steps", range(8))
async def test_closing_in_the_middle_of_opening_leaves_no_socket(steps):
    """A service that is stopped as soon as it was started: mDNS is cancelled in each step of the event loop."""
    before = open_files()
    mdns = await opened(Made([]))
    for _ in range(steps):
        await asyncio.sleep(0)
    await mdns.close()
    assert open_files() == before


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


class Interfaces(UserList):
    """Addresses that set an event when they were tried for the fifth time."""

    tries = 0

    def __iter__(self):
        self.tries += 1
        if self.tries == 5:
            self.tried.set()
        return super().__iter__()


async def test_a_missing_interface_is_logged_once_and_waited_for():
    """One line names it, however often it is tried."""
    made = Made([])
    interfaces = Interfaces(["203.0.113.7"])
    interfaces.tried = asyncio.Event()
    with capture_logs() as lines:
        mdns = await opened(made, interfaces)
        await asyncio.wait_for(interfaces.tried.wait(), 10.0)
        await mdns.close()
    assert not made.started.is_set()
    assert [(line["log_level"], line["interfaces"]) for line in lines] == [("warning", ["203.0.113.7"])]
