"""README is held to the program: CI runs its commands, its configuration loads, its first screen is true."""

import json
import re
import shlex
import tomllib

import pytest
from support.listening import MAC, Air
from support.pages import ROOT, blocks

from proxy_listener.config import load
from proxy_listener.model.reading import as_json
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings

README = (ROOT / "README.md").read_text()


def test_two_commands_set_everything_up_and_each_makes_its_own_environment():
    demo, test = (block.strip() for block in blocks(README, "sh")[:2])
    for command in (demo, test):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert "\n" not in command
    assert ".venv/bin/proxy-listener demo" in demo
    assert test.endswith(".venv/bin/pytest -n 4 --dist worksteal")


def test_ci_runs_the_test_command_of_this_page():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r'grep -m1 -E "(.*)" README.md', script)[1]
    (found,) = [line for line in README.splitlines() if re.search(pattern, line)]
    assert found == blocks(README, "sh")[1].strip()


@pytest.mark.parametrize("text", blocks(README, "toml"))
def test_every_configuration_on_this_page_loads_once_its_secrets_are_filled_in(text, tmp_path):
    text = re.sub(r'noise_psk = "\.\.\."', 'noise_psk = "' + "A" * 43 + '="', text)
    text = re.sub(r'bindkey = "\.\.\."', 'bindkey = "' + "5a" * 16 + '"', text)
    for name in re.findall(r'{ file = "([a-z.]+)" }', text):
        secret = tmp_path / name
        secret.write_text("A" * 43 + "=")
        secret.chmod(0o600)
    path = tmp_path / "devices.toml"
    path.write_text(text)
    path.chmod(0o600)
    tomllib.loads(text)
    load(path)


def test_every_verb_is_on_this_page_and_each_that_it_names_exists():
    from proxy_listener.cli import main

    verbs = set(main.list_commands(None))
    named = set(re.findall(r"proxy-listener (?!-)([a-z]+)", README)) - {"proxy"}
    assert named <= verbs
    table = README.split("| verb | what it does |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z]+)`", table)) == verbs


def test_the_states_and_outcomes_that_this_page_explains_exist():
    from proxy_listener.model.outcome import Outcome
    from proxy_listener.model.status import ProxyState

    trouble = README.split("## When it does not work")[1].split("## Limits")[0]
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", trouble, re.MULTILINE))))
    known = {str(state) for state in ProxyState} | {str(outcome) for outcome in Outcome}
    assert named
    assert named <= known


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
    for block in blocks(README, "sh"):
        for line in block.splitlines():
            shlex.split(line, comments=True)
