"""The table of routes."""

import pytest
from support.made_status import device, view

from proxy_listener.web.routes import ROUTES

GETS = [route.path for route in ROUTES if route.method == "GET" and route.path != "/events"]


def test_no_route_stands_twice():
    """aiohttp would serve the first only."""
    pairs = [(route.method, route.path) for route in ROUTES]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("path", GETS)
async def test_every_route_answers(start, path):
    """Without an error of the service; 501 says that an action is missing."""
    client = await start(view=view([device(readable=True)]))
    path = path.replace("{mac}", "A4C1380283F4").replace("{name}", "app.js")
    async with client.get(path, allow_redirects=False) as response:
        assert response.status in {200, 303, 501}
