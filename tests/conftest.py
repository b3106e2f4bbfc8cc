"""What holds for every test: how properties are tested, and that no test hears another test's mDNS.

Property tests have no deadline, because the machine is shared, and in CI always the same examples, so that what lands
does not depend on luck. By hand they get new examples with each run.

All mDNS on loopback is one network: zeroconf joins one group on one port, whichever address of 127.0.0.0/8 it is given.
So a test that opens mDNS carries the marker ``mdns`` with one of these words, and a file lock keeps them apart, also
between the workers and checkouts of one machine:

``alone``    it browses and uses, or counts, what it finds, or announces names that other tests have, too.
``shared``   it announces names that no other test has, or lists nodes by names that a test announces ``alone``.
``listed``   it announces nothing, and lists nodes by addresses and by names that no test announces: needs no lock.

A test that opens mDNS in its own process without the marker fails.
"""

import fcntl
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from zeroconf.asyncio import AsyncZeroconf

settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")

MDNS_PORT = 5353
LOCKS = {"alone": fcntl.LOCK_EX, "shared": fcntl.LOCK_SH, "listed": fcntl.LOCK_UN, None: fcntl.LOCK_UN}
LOCK = (Path(tempfile.gettempdir()) / f"proxy-listener-tests-{os.getuid()}.lock").open("w")
OPENED = []
"""The sockets that were bound to the port of mDNS since the beginning of the test."""


def watch(event, arguments):
    if event == "socket.bind" and isinstance(arguments[1], tuple) and arguments[1][1:2] == (MDNS_PORT,):
        OPENED.append(arguments[1])


sys.addaudithook(watch)


def mdns_of(item):
    marker = item.get_closest_marker("mdns") if item is not None else None
    return marker.args[0] if marker is not None else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Hold the lock over a module's tests of one kind, because their fixtures may be the module's."""
    how = mdns_of(item)
    fcntl.flock(LOCK, LOCKS[how])
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path or mdns_of(nextitem) != how:
            fcntl.flock(LOCK, fcntl.LOCK_UN)


@pytest.fixture(autouse=True)
def _mdns_is_marked(request):
    OPENED.clear()
    yield
    assert not OPENED or mdns_of(request.node), "it opened mDNS: give it the marker mdns (see tests/conftest.py)"


@pytest.fixture
async def mdns():
    """Announces on loopback only."""
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    yield zeroconf
    await zeroconf.async_close()
