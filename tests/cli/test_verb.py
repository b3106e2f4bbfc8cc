"""What all verbs share: exit statuses, error messages and a fast start."""

import subprocess
import sys

import pytest

RUNNING = ["status", "devices", "watch", "route x", "read x", "history x", "coverage", "export"]


@pytest.mark.parametrize("verb", RUNNING)
def test_without_a_service_the_status_is_69(call, tmp_path, verb):
    """The message has the socket that was tried, and what to do."""
    result = call(*verb.split(), "--state", tmp_path)
    assert result.exit_code == 69
    assert result.stdout == ""
    assert f"nothing answers at {tmp_path}/control.sock" in result.stderr
    assert "proxy-listener run" in result.stderr


@pytest.mark.parametrize("verb", ["run", "check", "keys import x.json"])
def test_without_a_configuration_the_status_is_78(call, verb):
    """The message has the places that were tried, and what to do."""
    result = call(*verb.split())
    assert result.exit_code == 78
    assert result.stdout == ""
    assert "/etc/proxy-listener/devices.toml" in result.stderr
    assert "proxy-listener init" in result.stderr


@pytest.mark.parametrize("verb", ["run", "check", "replay x", "discover", "keys test x --capture y"])
def test_a_bad_configuration_is_78_with_a_line_for_each_problem(call, config_file, verb):
    """Standard error has nothing else: no traceback, no key."""
    text = config_file.read_text(encoding="utf-8")
    config_file.write_text(text.replace('a8"', '"\nread = "twelve"'), encoding="utf-8")
    result = call(*verb.split(), "-c", config_file)
    assert result.exit_code == 78
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "devices.toml: device[1].bindkey: 30 hex digits, expected 24 or 32",
        'devices.toml: device[1].read: expected a duration such as "50ms", "10s", "5min", "24h" or "400d", or "off"',
    ]


@pytest.mark.parametrize(
    "words", ["", "jump", "check --colour", "history", "decode", "decode xyz", "keys", "export --format xls x"]
)
def test_a_usage_error_is_status_2(call, words):
    """A wrong verb, option or argument."""
    assert call(*words.split()).exit_code == 2


def test_escape_sequences_are_escaped(call, tmp_path):
    """In an argument that an error repeats."""
    result = call("check", "-c", f"{tmp_path}/\x1b[31mx.toml")
    assert result.exit_code == 78
    assert "\x1b" not in result.output


STRUCTLOG = {"structlog", "rich"}
"""structlog imports rich where it is installed."""

HEAVY = {
    *STRUCTLOG,
    *("aioesphomeapi", "zeroconf", "aiohttp", "aiomqtt", "cattrs", "tomlkit", "cryptography"),
    *("proxy_listener.service", "proxy_listener.simulator"),
}
"""Modules that take long to import."""


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], set()),
        (["jump"], set()),
        (["check", "--help"], {"cattrs", "cryptography", *STRUCTLOG}),
        (["decode", "5858"], {"cattrs", "cryptography", *STRUCTLOG}),
        (["status", "--help"], {"aiohttp", *STRUCTLOG}),
        (["run", "--help"], HEAVY - {"aiohttp", "aiomqtt", "tomlkit", "proxy_listener.simulator"}),
    ],
)
def test_a_verb_imports_only_what_it_needs(words, allowed):
    """So that each verb starts fast, and the service does not keep the other verbs' libraries in memory."""
    code = "import sys, atexit; atexit.register(lambda: print(*sys.modules)); import proxy_listener.cli as c; c.main()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "proxy_listener.cli.verb" in loaded
    assert loaded & HEAVY <= allowed


def test_a_service_without_a_terminal_does_not_import_rich():
    """structlog would: 3 MB that nothing uses. Everything the service needs is imported."""
    code = (
        "import sys; from proxy_listener.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'proxy_listener.service' in sys.modules\n"
        "assert not any(name.partition('.')[0] == 'rich' for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, "run", "--help"], check=True, capture_output=True)
