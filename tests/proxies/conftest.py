"""One test of this directory at a time, on the whole machine: mDNS has no private corner on loopback, and every fleet
here would hear of, and call, the nodes of the same names that another worker runs.
"""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest
from zeroconf.asyncio import AsyncZeroconf


@pytest.fixture(autouse=True)
def _alone_on_loopback():
    path = Path(tempfile.gettempdir()) / f"proxy-listener-tests-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
async def mdns():
    """Announces on loopback only."""
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    yield zeroconf
    await zeroconf.async_close()
