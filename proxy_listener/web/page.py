"""The page's files, and the form that asks for the token.

The files are read once, at import. A request chooses from them by name and never reaches the file system.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

import attrs
from aiohttp import web

from proxy_listener.model.secret import Secret
from proxy_listener.web.context import CONTEXT, body_of, refusal
from proxy_listener.web.guard import COOKIE, check_token, session

MEDIA = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".js": "text/javascript"}

COOKIE_AGE = 30 * 86_400
"""Seconds that a browser keeps the session; a changed token ends it earlier."""

FIELDS_LIMIT = 4
"""Fields of the form that are parsed; it has one."""


@attrs.frozen
class Asset:
    """One file. ``tag`` identifies its version."""

    body: bytes
    media: str
    tag: str


def _load(file: Path) -> Asset:
    body = file.read_bytes()
    return Asset(body, MEDIA[file.suffix], hashlib.sha256(body).hexdigest()[:16])


ASSETS: Mapping[str, Asset] = {file.name: _load(file) for file in (Path(__file__).parent / "assets").iterdir()}


def _send(request: web.Request, name: str) -> web.Response:
    asset = ASSETS[name]
    headers = {"ETag": f'"{asset.tag}"', "Cache-Control": "no-cache"}
    if any(tag.value == asset.tag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, content_type=asset.media, charset="utf-8", headers=headers)


async def index(request: web.Request) -> web.Response:
    """The page."""
    return _send(request, "index.html")


async def asset(request: web.Request) -> web.Response:
    """A file of the page."""
    name = request.match_info["name"]
    if name not in ASSETS or name.endswith(".html"):
        raise refusal(web.HTTPNotFound, "no such file")
    return _send(request, name)


async def form(request: web.Request) -> web.Response:
    """The form that asks for the token; without a token, the page."""
    if request.app[CONTEXT].token is None:
        raise web.HTTPSeeOther("/")
    return _send(request, "login.html")


def _expected(request: web.Request) -> Secret:
    token = request.app[CONTEXT].token
    if token is None:
        raise web.HTTPSeeOther("/")
    return token


async def login(request: web.Request) -> web.Response:
    """Check the token from the form: if it is right, a cookie and the page, otherwise the form again."""
    expected = _expected(request)
    body = await body_of(request, "application/x-www-form-urlencoded")
    try:
        given = parse_qs(body.decode(errors="replace"), max_num_fields=FIELDS_LIMIT).get("token", [""])[0]
    except ValueError:
        raise refusal(web.HTTPBadRequest, "the body is not the form") from None
    if not check_token(request, given, expected):
        form_again = ASSETS["login.html"].body.replace(b' id="wrong" hidden', b' id="wrong" role="alert"')
        return web.Response(status=401, body=form_again, content_type="text/html", charset="utf-8")
    answer = web.Response(status=303, headers={"Location": "/"})
    cookie = session(expected, request.app[CONTEXT].salt)
    answer.set_cookie(COOKIE, cookie, max_age=COOKIE_AGE, httponly=True, samesite="Strict", path="/")
    return answer
