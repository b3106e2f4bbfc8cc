"""The guard of the TCP port."""

import asyncio

import pytest
from structlog.testing import capture_logs
from support.made_status import SALT

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import WebSettings
from proxy_listener.web import Actions
from proxy_listener.web.guard import COOKIE, session

TOKEN = "canary-token-7f3a91"
LOCKED = WebSettings(token=Secret(TOKEN), hosts=("pi.home.example",))
BEARER = {"Authorization": f"Bearer {TOKEN}"}
KEPT = {"Cookie": f"{COOKIE}={session(Secret(TOKEN), SALT)}"}
READ = "/devices/A4:C1:38:02:83:F4/read"
ADMIT = "/devices/A4:C1:38:02:83:F4/admit"


async def status(client, path, headers, method="GET"):
    async with client.request(method, path, headers=headers, allow_redirects=False) as response:
        assert TOKEN not in await response.text()
        return response.status


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "localhost:evil.example", "192.0.2.1", ""],
)
async def test_a_foreign_name_is_refused(start_tcp, host):
    """A foreign name that resolves to this machine is answered with 421, even with the token."""
    client = await start_tcp(LOCKED)
    assert await status(client, "/devices", {**BEARER, "Host": host}) == 421
    assert await status(client, "/", {"Host": host}) == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "PI.home.example:8099"])
async def test_own_names_are_known(start_tcp, host):
    """Loopback's names, the address that was connected to, and those of the configuration."""
    client = await start_tcp(LOCKED)
    assert await status(client, "/devices", {**BEARER, "Host": host}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer \xff\xfe"},
        {"Cookie": f"{COOKIE}={TOKEN}"},
        {"Cookie": f"{COOKIE}="},
    ],
)
async def test_without_the_token_nothing_is_answered(start_tcp, headers):
    """401 for the API, the form for the page; the answer does not show whether a path exists."""
    client = await start_tcp(LOCKED)
    for path in ("/devices", "/status", "/events", "/capture", "/metrics", "/openapi.json", "/nothing"):
        assert await status(client, path, headers) == 401
    assert await status(client, "/", headers) == 303
    assert await status(client, READ, headers, "POST") == 401


async def test_a_probe_needs_no_token(start_tcp):
    """/healthz is answered without a token, but only under an own name."""
    client = await start_tcp(LOCKED)
    assert await status(client, "/healthz", {}) == 200


async def test_the_form_gives_a_cookie_that_is_not_the_token(start_tcp):
    """A wrong token gives the form again; the right one a cookie that scripts and other sites do not get."""
    client = await start_tcp(LOCKED)
    same = {"Sec-Fetch-Site": "same-origin"}
    async with client.post("/login", data={"token": "wrong"}, headers=same) as response:
        assert response.status == 401
        assert 'role="alert"' in await response.text()
        assert "Set-Cookie" not in response.headers
    async with client.post("/login", data={"token": TOKEN}, headers=same, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/")
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert await status(client, "/devices", {"Cookie": cookie.partition(";")[0]}) == 200


async def test_guesses_are_slowed_and_who_is_logged_in_is_not(start_tcp):
    """The form and the header together: the right token is refused, too, while a session's cookie goes on."""
    client = await start_tcp(LOCKED)
    same = {"Sec-Fetch-Site": "same-origin"}
    with capture_logs() as logged:
        for number in range(5):
            async with client.post("/login", data={"token": f"guess-{number}"}, headers=same) as response:
                assert response.status == 401
            assert await status(client, "/devices", {"Authorization": f"Bearer guess-{number}"}) == 401
    assert [entry["event"] for entry in logged] == ["many wrong tokens for the page"]
    assert "guess-" not in str(logged)
    async with client.post("/login", data={"token": TOKEN}, headers=same, allow_redirects=False) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "10")
    assert await status(client, "/devices", {"Authorization": f"Bearer {TOKEN}"}) == 429
    assert await status(client, "/devices", KEPT) == 200
    assert await status(client, "/healthz", {}) == 200


async def test_a_cookie_cannot_be_made_from_a_guessed_token(start_tcp):
    """Not even from the right one: the salt is the service's secret. So guesses by cookie find nothing."""
    client = await start_tcp(LOCKED)
    for salt in ("", SALT[:-1], "f" * 32):
        assert await status(client, "/devices", {"Cookie": f"{COOKIE}={session(LOCKED.token, salt)}"}) == 401
    assert await status(client, "/devices", KEPT) == 200


async def test_guesses_at_the_same_time_are_limited_as_well(start_tcp):
    """Fifty wrong tokens at once: ten are looked at."""
    client = await start_tcp(LOCKED)
    same = {"Sec-Fetch-Site": "same-origin"}

    async def guess(number):
        async with client.post("/login", data={"token": f"guess-{number}"}, headers=same) as response:
            return response.status

    answers = await asyncio.gather(*(guess(number) for number in range(50)))
    assert (answers.count(401), answers.count(429)) == (10, 40)


@pytest.mark.parametrize("body", ["token=a&b&c&d&e&f&g&h", "token", "", "%ff=%ff&token=%ff"])
async def test_a_strange_form_is_refused(start_tcp, body):
    """No form causes an internal error."""
    client = await start_tcp(LOCKED)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with client.post("/login", data=body, headers=headers) as response:
        assert response.status in {400, 401}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Site": "cross-site", **BEARER}, 403),
        ({"Sec-Fetch-Site": "same-site", **BEARER}, 403),
        ({"Sec-Fetch-Site": "none", **KEPT}, 403),
        ({"Origin": "http://evil.example", **KEPT}, 403),
        ({"Origin": "null", **KEPT}, 403),
        (KEPT, 401),
        (BEARER, 501),
        ({"Sec-Fetch-Site": "same-origin", **KEPT}, 501),
        ({"Origin": "http://localhost:8099", "Host": "localhost:8099", **KEPT}, 501),
    ],
)
async def test_a_post_needs_the_page_or_the_token(start_tcp, headers, expected):
    """501 is the route's own answer: the request was passed on. A cookie alone is not enough."""
    client = await start_tcp(LOCKED)
    assert await status(client, READ, headers, "POST") == expected
    assert await status(client, ADMIT, headers, "POST") == expected


async def test_without_a_token_other_sites_are_refused(start_tcp):
    """Another site's page in the owner's browser cannot read, open streams, or start an active read."""
    client = await start_tcp()
    assert await status(client, "/devices", {}) == 200
    assert await status(client, "/events", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}) == 403
    assert await status(client, "/devices", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}) == 403
    assert await status(client, READ, {"Sec-Fetch-Site": "cross-site"}, "POST") == 403
    assert await status(client, READ, {}, "POST") == 501
    assert await status(client, "/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}) == 200


async def test_get_changes_nothing(start_tcp):
    """Only POST starts a read."""
    asked = []

    async def read(*given):
        asked.append(given)

    client = await start_tcp(actions=Actions(read=read))
    assert await status(client, READ, {}) == 405
    assert await status(client, READ, {}, "PUT") == 405
    assert asked == []


@pytest.mark.parametrize("path", ["/", "/devices", "/nothing", "/assets/app.js", "/login", "/events"])
async def test_every_answer_carries_the_policy(start_tcp, path):
    """Errors, redirects and streams too; no answer allows another origin anything."""
    client = await start_tcp()
    async with client.get(path, allow_redirects=False, headers={"Origin": "http://evil.example"}) as response:
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert not [name for name in response.headers if name.startswith("Access-Control")]
        assert "Python" not in response.headers["Server"]
