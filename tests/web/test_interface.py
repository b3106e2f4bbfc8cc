"""What the service calls: nothing is imported, and nothing is served, before it is needed."""

import subprocess
import sys

from support.made_status import view

from proxy_listener.model.settings import WebSettings
from proxy_listener.web import Actions, serve_page

SERVE = """
import asyncio, sys
from pathlib import Path
from proxy_listener.history import Journal
from proxy_listener.model.status import View
from proxy_listener.web import Actions, serve_control

async def main(state):
    view = View(lambda: [], lambda: [], dict)
    task = asyncio.create_task(serve_control(state, view, Journal(None), Actions()))
    while not (state / "control.sock").exists():
        await asyncio.sleep(0)
    before = "aiohttp" in sys.modules
    reader, writer = await asyncio.open_unix_connection(state / "control.sock")
    writer.write(b"GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    answer = await reader.readline()
    print(before, "aiohttp" in sys.modules, answer.decode().strip())
    writer.close()
    task.cancel()
    await asyncio.wait([task])

asyncio.run(main(Path(sys.argv[1])))
"""


def test_aiohttp_is_imported_at_the_first_connection(tmp_path):
    """The connection that causes the import is answered."""
    ran = subprocess.run([sys.executable, "-c", SERVE, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False True HTTP/1.1 200 OK"


async def test_without_listen_there_is_no_page(journal):
    """It returns at once, so that the supervisor has nothing to watch."""
    await serve_page(WebSettings(None), view(), journal, Actions())
