"""The page's files, as files."""

import re

import pytest

from proxy_listener.web.page import ASSETS

SCRIPTS = [name for name in ASSETS if name.endswith(".js")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_is_ever_parsed_as_markup_or_code(name):
    """No script has a way to turn text into elements, styles or code."""
    text = ASSETS[name].body.decode()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        "DOMParser",
        ".style",
    ):
        assert word not in text


def test_nothing_is_loaded_from_elsewhere():
    """No file names another host; the one address is a name of SVG."""
    for name, asset in ASSETS.items():
        found = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}", asset.body.decode()))
        assert found <= {"http://www.w3.org"}, name


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_import_is_in_the_table(name):
    """Modules name each other relatively."""
    for imported in re.findall(r'from "(.+?)"', ASSETS[name].body.decode()):
        assert imported.removeprefix("./") in ASSETS


async def test_files_come_from_the_table_only(start):
    """Whatever a path tries, there is no file system behind it."""
    client = await start()
    for path in (
        "/assets/nothing.js",
        "/assets/..%2fpage.py",
        "/assets/%2e%2e/page.py",
        "/assets/index.html",
        "/assets/",
    ):
        async with client.get(path) as response:
            assert response.status == 404


async def test_a_known_version_is_not_sent_again(start):
    """304 for the tag that was given; the type is said with every file."""
    client = await start()
    async with client.get("/assets/style.css") as response:
        assert response.headers["Content-Type"] == "text/css; charset=utf-8"
        tag = response.headers["ETag"]
    async with client.get("/assets/style.css", headers={"If-None-Match": tag}) as response:
        assert response.status == 304


async def test_without_a_token_there_is_no_form(start):
    """It leads to the page."""
    client = await start()
    async with client.get("/login", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/")
    async with client.post("/login", data={"token": "x"}, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/")
