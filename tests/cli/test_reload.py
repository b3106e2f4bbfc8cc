"""The verb ``reload``, and the reload behind ``keys import``, over a real control socket and with a real service."""

import json

import attrs
import pytest
from support.control_service import ACTIONS, running_service
from support.processes import program

from proxy_listener.model.errors import ConfigError, Problem
from proxy_listener.model.status import Reloaded

KEY = "e9ea895fac7cca6d30532432a516f3a8"
MAC = "A4:C1:38:02:83:F4"


def service_of(tmp_path, path, note=""):
    """A service that counts how often it was asked to read ``path`` again."""
    asked = []

    async def reload():
        asked.append(1)
        if "broken" in path.read_text(encoding="utf-8"):
            raise ConfigError([Problem("devices.toml: broken", "unknown table")])
        return Reloaded(str(path), 2, 3, note)

    return running_service(tmp_path, attrs.evolve(ACTIONS, reload=reload)), asked


def test_it_says_what_was_read(call, tmp_path, config_file):
    """The file, how many entries, and what waits for the next start."""
    running, asked = service_of(tmp_path, config_file, "[history] waits")
    with running:
        result = call("reload", "--state", tmp_path)
        document = json.loads(call("reload", "--json", "--state", tmp_path).stdout)
    assert (result.exit_code, len(asked)) == (0, 2)
    assert result.stdout.splitlines() == [
        f"the running service has read {config_file} again: [[proxy]] entries 2, [[device]] entries 3; [history] waits"
    ]
    assert document == {"path": str(config_file), "proxies": 2, "devices": 3, "note": "[history] waits"}


def test_an_error_is_said_with_its_place(call, tmp_path, config_file):
    """And the status is 1."""
    config_file.write_text("broken = 1", encoding="utf-8")
    running, _ = service_of(tmp_path, config_file)
    with running:
        result = call("reload", "--state", tmp_path)
    assert (result.exit_code, result.stderr) == (1, "devices.toml: broken: unknown table\n")


def test_without_a_service_the_status_is_69(call, tmp_path):
    """As of every verb that needs one."""
    assert call("reload", "--state", tmp_path).exit_code == 69


def test_keys_import_makes_the_running_service_reload(call, tmp_path, config_file):
    """Only where a key was written; where no service runs, and where it uses another file, it says so."""
    text = json.dumps({"E4:AA:EC:00:00:01": KEY})
    words = ["keys", "import", "-c", config_file, "--state", tmp_path]
    running, asked = service_of(tmp_path, config_file)
    with running:
        assert "the running service has read" in call(*words, given=text).stdout
        assert "the running service" not in call(*words, given=text).stdout
    assert len(asked) == 1
    (tmp_path / "other.toml").write_text("", encoding="utf-8")
    running, _ = service_of(tmp_path, tmp_path / "other.toml")
    with running:
        said = call(*words, given=json.dumps({"E4:AA:EC:00:00:02": KEY})).stdout
    assert f"does not use this file, but {tmp_path / 'other.toml'}" in said
    assert "proxy-listener reload --state DIR" in call(*words, given=json.dumps({"E4:AA:EC:00:00:03": KEY})).stdout


@pytest.mark.parametrize("broken", [False, True])
async def test_a_running_service_reads_its_file_again(tmp_path, broken):
    """The log names the file by the name that it has. One with an error changes nothing, and the verb says which."""
    path = tmp_path / "house.toml"
    text = '[discovery]\naccept = "listed"\ninterfaces = ["127.0.0.1"]\n'
    path.write_text(text, encoding="utf-8")
    words = ["-m", "proxy_listener"]
    more_words = ["--state", tmp_path / "state"]
    async with program(*words, "run", "-c", path, *more_words, stdout=-1, stderr=-1) as process:
        while b"listening" not in (line := await process.stderr.readline()):
            assert line, "the service ended"
        more = "[sevrice]\n" if broken else f'[[device]]\nmac = "{MAC}"\n'
        path.write_text(text + more, encoding="utf-8")
        async with program(*words, "reload", *more_words, stdout=-1, stderr=-1) as verb:
            said, errors = await verb.communicate()
        while b"house.toml" not in (line := await process.stderr.readline()):
            assert line, "the service ended"
    if broken:
        assert (verb.returncode, b"house.toml: sevrice: " in errors) == (1, True)
        assert b"was not taken" in line
    else:
        assert (verb.returncode, b"[[device]] entries 1" in said) == (0, True)
        assert b"was read again" in line
    assert b"devices.toml" not in line
