"""README is held to the program: CI runs its commands, its configuration loads, its tables are true."""

import json
import re
import shlex
import tomllib

import pytest
from support.generated import BEGIN, COMMAND, ROOT, stale
from support.listening import MAC, Air

from proxy_listener.config import load
from proxy_listener.model.reading import as_json
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_what_is_generated_is_up_to_date():
    """The golden discovery and the table of devices are those of the model table."""
    assert [str(path.relative_to(ROOT)) for path in stale()] == [], f"run: {COMMAND}"


def test_the_device_table_stands_in_the_documentation():
    """Exactly one page has it."""
    pages = [page for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if BEGIN in page.read_text()]
    assert len(pages) == 1


def test_two_commands_set_everything_up_and_each_makes_its_own_environment():
    demo, test = (block.strip() for block in blocks("sh")[:2])
    for command in (demo, test):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert "\n" not in command
    assert ".venv/bin/proxy-listener demo" in demo
    assert test.endswith(".venv/bin/pytest -n 4 --dist worksteal")


def test_ci_runs_the_test_command_of_this_page():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r'grep -m1 -E "(.*)" README.md', script)[1]
    (found,) = [line for line in README.splitlines() if re.search(pattern, line)]
    assert found == blocks("sh")[1].strip()


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_configuration_on_this_page_loads_once_its_secrets_are_filled_in(text, tmp_path):
    text = re.sub(r'noise_psk = "\.\.\."', 'noise_psk = "' + "A" * 43 + '="', text)
    text = re.sub(r'bindkey = "\.\.\."', 'bindkey = "' + "5a" * 16 + '"', text)
    text = re.sub(r'\{ file = "([^"]+)" \}', r'"secret from \1"', text)
    path = tmp_path / "devices.toml"
    path.write_text(text)
    path.chmod(0o600)
    tomllib.loads(text)
    load(path)


def test_the_verbs_that_this_page_names_exist():
    from proxy_listener.cli import main

    named = set(re.findall(r"proxy-listener (?!-)([a-z]+)", README)) - {"proxy"}
    assert named <= set(main.list_commands(None)), named - set(main.list_commands(None))


def test_every_verb_is_on_this_page():
    from proxy_listener.cli import main

    verbs = README.split("## Verbs")[1].split("```")[0]
    assert set(re.findall(r"^\| (.*?) \|", verbs, re.MULTILINE)) >= {"`run`", "`read`"}
    assert set(main.list_commands(None)) <= set(re.findall(r"`([a-z]+)", verbs))


def test_the_tables_of_the_verbs_are_theirs():
    """The headings of the samples are those that the verbs print."""
    from proxy_listener.cli.rows import HISTORY_HEAD, PROXY_COVERAGE_HEAD, PROXY_HEAD, ROUTE_HEAD

    lines = {" ".join(line.split()) for line in README.split("## Verbs")[1].splitlines()}
    for head in (PROXY_HEAD, HISTORY_HEAD, ROUTE_HEAD, PROXY_COVERAGE_HEAD):
        assert " ".join(head) in lines


def test_the_paths_of_the_api_are_those_that_are_served():
    """Each path of the table is a route, and each route is in it."""
    from proxy_listener.web.routes import ROUTES

    table = README.split("### The API")[1].split("## Verbs")[0]
    named = set(re.findall(r"/[a-z.{}/]+", " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    assert named | {"/openapi.json"} == {route.path for route in ROUTES if route.summary}


def test_the_first_screens_bytes_make_its_line():
    """Bytes in, line out: the example at the top is what the listener gives, but for its time."""
    top = README.split("## Start")[0]
    payload = bytes.fromhex(re.search(r"\b(58585b05[0-9a-f]+)\b", top)[1])
    shown = json.loads(re.sub(r"\s*\n\s+", "", re.search(r'\{"time".*?\]\}', top, re.DOTALL)[0]))
    entry = DeviceSettings(mac=MAC, name="Bedroom climate", bindkey=(Secret("e9ea895fac7cca6d30532432a516f3a8"),))
    air = Air(entry)
    air.devices.room = {"bedroom-proxy": "Bedroom"}.__getitem__
    air.say(payload, proxy="bedroom-proxy", rssi=-61)
    line = json.loads(as_json(air.readings[0]))
    assert list(line) == list(shown)
    assert line | {"time": shown["time"]} == shown


def test_shell_blocks_are_shell():
    for block in blocks("sh"):
        for line in block.splitlines():
            shlex.split(line, comments=True)
