"""The page's files, and the form that asks for the token.

The rule of this file: what is served is a fixed table, read once from the package; no request names a file.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from urllib.parse import parse_qs

import attrs
from aiohttp import web

from proxy_listener.model.secret import Secret
from proxy_listener.web.guard import COOKIE, matches, session
from proxy_listener.web.house import HOUSE, body_of, refusal

NAMES = {
    "index.html": "text/html",
    "login.html": "text/html",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "app.js": "text/javascript",
    "service.js": "text/javascript",
    "dom.js": "text/javascript",
    "words.js": "text/javascript",
    "house.js": "text/javascript",
    "troubles.js": "text/javascript",
    "rail.js": "text/javascript",
    "table.js": "text/javascript",
    "device.js": "text/javascript",
    "past.js": "text/javascript",
    "read.js": "text/javascript",
    "plot.js": "text/javascript",
    "map.js": "text/javascript",
    "coverage.js": "text/javascript",
}

COOKIE_AGE = 30 * 86_400
"""Seconds that a browser keeps the session; a new token ends it earlier."""

FIELDS_LIMIT = 4
"""Fields of the form that are looked at; it has one."""


@attrs.frozen
class Asset:
    """One file: its bytes, what they are, and a name of this version of it."""

    body: bytes
    media: str
    tag: str


def _read() -> Mapping[str, Asset]:
    folder = files("proxy_listener.web").joinpath("assets")
    found = {}
    for name, media in NAMES.items():
        body = folder.joinpath(name).read_bytes()
        found[name] = Asset(body, media, hashlib.sha256(body).hexdigest()[:16])
    return MappingProxyType(found)


ASSETS = _read()


def _given(request: web.Request, name: str) -> web.Response:
    asset = ASSETS[name]
    headers = {"ETag": f'"{asset.tag}"', "Cache-Control": "no-cache"}
    if any(tag.value == asset.tag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, content_type=asset.media, charset="utf-8", headers=headers)


async def index(request: web.Request) -> web.Response:
    """The page."""
    return _given(request, "index.html")


async def asset(request: web.Request) -> web.Response:
    """What the page is made of."""
    name = request.match_info["name"]
    if name not in ASSETS or name.endswith(".html"):
        raise refusal(web.HTTPNotFound, "no such file")
    return _given(request, name)


async def form(request: web.Request) -> web.Response:
    """The form that asks for the token; where there is none, the page."""
    if request.app[HOUSE].token is None:
        raise web.HTTPSeeOther("/")
    return _given(request, "login.html")


def _expected(request: web.Request) -> Secret:
    token = request.app[HOUSE].token
    if token is None:
        raise web.HTTPSeeOther("/")
    return token


async def login(request: web.Request) -> web.Response:
    """The token, from the form: a cookie and the page where it is right, else the form again."""
    expected = _expected(request)
    body = await body_of(request, "application/x-www-form-urlencoded")
    try:
        given = parse_qs(body.decode(errors="replace"), max_num_fields=FIELDS_LIMIT).get("token", [""])[0]
    except ValueError:
        raise refusal(web.HTTPBadRequest, "that is not the form") from None
    if not matches(given, expected.reveal()):
        again = ASSETS["login.html"].body.replace(b' id="wrong" hidden', b' id="wrong" role="alert"')
        return web.Response(status=401, body=again, content_type="text/html", charset="utf-8")
    answer = web.Response(status=303, headers={"Location": "/"})
    answer.set_cookie(COOKIE, session(expected), max_age=COOKIE_AGE, httponly=True, samesite="Strict", path="/")
    return answer
