"""The routes that say how things are now: service, proxies, devices, routes for reads, coverage, units, metrics."""

import os
import time

from aiohttp import web

from proxy_listener import __version__
from proxy_listener.web.documents import device_document, plain, proxy_document
from proxy_listener.web.house import HOUSE, address_of, answer, refusal


async def status(request: web.Request) -> web.Response:
    """The service on one page."""
    house = request.app[HOUSE]
    return answer(
        {
            "version": __version__,
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - house.started, 1),
            "storage": plain(house.journal.storage),
            "outcomes": dict(house.view.outcomes()),
            "skipped": dict(house.view.skipped()),
            "proxies": [proxy_document(proxy) for proxy in house.view.proxies()],
        }
    )


async def proxies(request: web.Request) -> web.Response:
    """Every proxy."""
    return answer([proxy_document(proxy) for proxy in request.app[HOUSE].view.proxies()])


async def devices(request: web.Request) -> web.Response:
    """Every device."""
    house = request.app[HOUSE]
    happened = await house.happened()
    now = house.wall()
    return answer([device_document(device, now, happened.get(device.mac)) for device in house.view.devices()])


async def device(request: web.Request) -> web.Response:
    """One device."""
    house = request.app[HOUSE]
    found = house.device(address_of(request))
    happened = await house.happened()
    return answer(device_document(found, house.wall(), happened.get(found.mac)))


async def quantities(request: web.Request) -> web.Response:
    """The unit of each quantity that is a number."""
    return answer(dict(request.app[HOUSE].actions.units))


async def routes(request: web.Request) -> web.Response:
    """Each proxy that might read the device, best first, with the reason."""
    house = request.app[HOUSE]
    address = address_of(request)
    house.device(address)
    return answer(plain(house.actions.route(address)))


async def coverage(request: web.Request) -> web.Response:
    """What hangs on which proxy."""
    ask = request.app[HOUSE].actions.coverage
    if ask is None:
        raise refusal(web.HTTPNotImplemented, "this service keeps no record of hearing")
    return answer(plain(await ask()))


async def healthz(request: web.Request) -> web.Response:
    """200 while readings flow, 503 with the cause while they cannot be stored."""
    ok = request.app[HOUSE].journal.storage.ok
    response = answer({"ok": ok, "cause": "" if ok else "readings cannot be stored; /status says why"})
    response.set_status(200 if ok else 503)
    return response


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text."""
    give = request.app[HOUSE].actions.metrics
    if give is None:
        raise refusal(web.HTTPNotImplemented, "metrics need: pip install 'proxy-listener[metrics]'")
    content_type, body = give()
    return web.Response(body=body, headers={"Content-Type": content_type})
