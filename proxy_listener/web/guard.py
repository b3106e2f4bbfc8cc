"""A request on the TCP port -> passed on, or refused. Also the headers and JSON errors of every answer.

The control socket has no guard: the mode of its file protects it.

::

    name of this service in Host?     no  -> 421        DNS rebinding: a foreign name that resolves to this machine
    sent by another site's page?      yes -> 403        Sec-Fetch-Site; for POST also Origin, because browsers send
                                                        Sec-Fetch-Site only over HTTPS and to loopback
    token set: bearer or cookie?      no  -> 401        a POST that is not from a browser needs the bearer token
    too many wrong tokens?            yes -> 429        of this address: no token is looked at for some seconds
"""

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from proxy_listener.model.rate import GUESSES
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import WebSettings
from proxy_listener.model.text import host_name
from proxy_listener.web.context import CONTEXT, refusal
from proxy_listener.web.documents import Error, text

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "proxy_listener_session"

OPEN = ("/login", "/healthz", "/assets/")
"""Answered without a token: the form that asks for it, the files of that form, and the health probe."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


STARTED = web.RequestKey("STARTED", bool)
"""Whether the headers of the answer are sent."""


async def headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every answer, streams and errors included."""
    request[STARTED] = True
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "proxy-listener"


def _error(status: int, message: str, extra: dict[str, str] | None = None) -> web.Response:
    document = Error(error=status, message=message)
    return web.Response(status=status, text=text(document), content_type="application/json", headers=extra)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON; a stream is cut. An unexpected error is logged, and nothing of it is sent."""
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        extra = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        if error.status == web.HTTPTooManyRequests.status_code:
            extra["Retry-After"] = "10"
        return _error(error.status, error.text or error.reason, extra)
    except ConnectionError:
        raise
    except Exception:
        log.exception("a request failed", method=request.method, route=str(request.match_info.route.resource))
        if STARTED in request:  # a second answer inside the stream would leave the client waiting
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the stream failed") from None
        return _error(500, "internal error; see the service's log")


def session(token: Secret, salt: str) -> str:
    """The cookie's value: invalid when the token changes, and by the salt, which nobody sees, no way to guess the token
    without the limit for wrong tokens.
    """
    return hmac.new(token.reveal().encode(), b"proxy-listener page session" + salt.encode(), hashlib.sha256).hexdigest()


def check_token(request: web.Request, given: str, token: Secret) -> bool:
    """Whether the token is right. 429 where the address gave too many wrong ones: then none is looked at."""
    guesses, address, now = request.app[CONTEXT].guesses, request.remote or "", time.monotonic()
    if not guesses.allowed(address, now):
        raise refusal(web.HTTPTooManyRequests, "too many wrong tokens from this address; wait ten seconds")
    if matches(given, token.reveal()):
        return True
    if guesses.wrong(address, now):
        log.warning("many wrong tokens for the page", address=address, limit=f"{GUESSES} at once, then 6 a minute")
    return False


def matches(given: str, expected: str) -> bool:
    """Whether two texts are equal, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _own_names(request: web.Request, settings: WebSettings) -> set[str]:
    """The hosts that this request may name. The address it was sent to is one: an address cannot be rebound."""
    names = {"localhost", "127.0.0.1", "::1", *(host_name(host) for host in settings.hosts)}
    sockname = request.transport.get_extra_info("sockname") if request.transport else None
    if isinstance(sockname, tuple):
        address = ipaddress.ip_address(sockname[0].partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        names.add(str(mapped or address))
    return names


def _foreign(request: web.Request) -> bool:
    """Whether another site's page sent it. A link to the page itself may be on any site."""
    site = request.headers.get("Sec-Fetch-Site")
    if request.method in {"GET", "HEAD"}:
        navigates = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.path in {"/", "/login"}
        return site in {"cross-site", "same-site"} and not navigates
    if site is not None:
        return site != "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2].lower() != request.headers.get("Host", "").lower()


def _admitted(request: web.Request, token: Secret) -> bool:
    """Whether the request has the token, or the cookie that is derived from it."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return check_token(request, given.strip(), token)
    browser = "Sec-Fetch-Site" in request.headers or "Origin" in request.headers
    if request.method not in {"GET", "HEAD"} and not browser:
        return False
    return matches(request.cookies.get(COOKIE, ""), session(token, request.app[CONTEXT].salt))


def guard(settings: WebSettings) -> Any:
    """The middleware that admits a request of the TCP port."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if host_name(request.headers.get("Host", "")) not in _own_names(request, settings):
            return _error(421, "unknown host name; [web] hosts in devices.toml adds names")
        if _foreign(request):
            return _error(403, "sent by another site's page")
        if settings.token is not None and not request.path.startswith(OPEN) and not _admitted(request, settings.token):
            if request.path == "/":
                raise web.HTTPSeeOther("/login")
            return _error(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return middleware
