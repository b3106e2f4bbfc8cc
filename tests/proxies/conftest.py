"""All of this directory in one worker: mDNS has no private corner on loopback, and every fleet here would hear of, and
call, the nodes of the same name that another worker runs.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("proxies"))
