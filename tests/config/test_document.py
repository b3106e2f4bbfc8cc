"""devices.toml as a whole: what loads, what is refused, and the error messages."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import pytest

from proxy_listener.config import Config, doubts, find, load
from proxy_listener.model.errors import ConfigError
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import (
    DAY,
    DeviceSettings,
    DevicesSettings,
    DiscoverySettings,
    HistorySettings,
    ProxySettings,
    ServiceSettings,
    ShareSettings,
    WebSettings,
)
from proxy_listener.sinks import jsonl, mqtt, prometheus

EXAMPLE = Path(__file__).parents[2] / "devices.toml"

KEY = "e9ea895fac7cca6d30532432a516f3a8"
PSK = "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc="


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "devices.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [str(problem) for problem in caught.value.problems]


DURATION = 'expected a duration such as "50ms", "10s", "5min", "24h" or "400d"'
SIZE = 'expected a size such as "500MB", "4GB" or "1.5TB"'
BASE64 = "expected the base64 of 32 bytes (44 characters), as in ESPHome's api: encryption: key"
MAC = 'mac = "A4:C1:38:02:83:F4"'

BROKEN = [
    ("[servce]", 'servce: unknown table, did you mean "service"?'),
    (
        "[outputs.mqtt]",
        (
            "outputs: unknown table, expected one of: "
            "device, devices, discovery, history, proxy, service, share, sink, web"
        ),
    ),
    ('[service]\ncolaesce = "1s"', 'service.colaesce: unknown key, did you mean "coalesce"?'),
    ("[service]\ncoalesce = 50", f"service.coalesce: {DURATION}, found a number"),
    ('[service]\ncoalesce = "50 parsecs"', f"service.coalesce: {DURATION}"),
    ('[service]\ncoalesce = "1h"', 'service.coalesce: expected at most "10s"'),
    ("service = 5", "service: expected a table, found a number"),
    ('[discovery]\naccept = "everyone"', 'discovery.accept: expected "listed", "keyed" or "all"'),
    ('[discovery]\nnoise_psk = "abc"', f"discovery.noise_psk: 3 characters, {BASE64}"),
    (f'[discovery]\nnoise_psk = "{"!" * 44}"', f"discovery.noise_psk: not base64, {BASE64}"),
    ('[discovery]\ninterfaces = "eth0"', "discovery.interfaces: expected a list, found text"),
    (
        '[discovery]\ninterfaces = ["127.0.0.1", "eth0"]',
        'discovery.interfaces[2]: expected an IP address of this machine, such as "192.0.2.5"',
    ),
    ("[[proxy]]\nroom = 'Hall'", "proxy[1].name: missing, and has no default"),
    ("[[proxy]]\nname = ''", "proxy[1].name: expected 1 to 64 printable characters"),
    ("[[proxy]]\nname = 'a'\nport = 70000", "proxy[1].port: expected a port, 1 to 65535"),
    ("[[proxy]]\nname = 'a'\ninsist = 'no'", "proxy[1].insist: expected true or false, found text"),
    ("[[proxy]]\nname = 'a'\n[[proxy]]\nname = 'a'", "proxy[2].name: the same as proxy[1].name"),
    ("[proxy]\nname = 'a'", "proxy: expected entries, each below a line [[proxy]]"),
    (f"[[devices]]\n{MAC}", "devices: expected one table, [devices]; for entries of their own write [[device]]"),
    ("[[device]]\nmac = 'A4:C1:38'", 'device[1].mac: expected a MAC such as "A4:C1:38:02:83:F4"'),
    ("[[device]]\nmac = 5", "device[1].mac: expected text in quotes, found a number"),
    ("[[device]]\nmac = '00:00:00:00:00:00'", "device[1].mac: expected the MAC of a device: this one belongs to none"),
    (f"[[device]]\n{MAC}\n[[device]]\nmac = 'a4c1380283f4'", "device[2].mac: the same as device[1].mac"),
    (f'[[device]]\n{MAC}\nname = "a\\u001b[31m"', "device[1].name: expected 1 to 64 printable characters"),
    (f"[[device]]\n{MAC}\nbindkey = '{KEY[1:]}'", "device[1].bindkey: 31 hex digits, expected 24 or 32"),
    (
        f"[[device]]\n{MAC}\nbindkey = ['{KEY}', 'xyz']",
        "device[1].bindkey[2]: 3 characters, not all of them hex digits, expected 24 or 32 hex digits",
    ),
    (
        f"[[device]]\n{MAC}\nbindkey = '{'F' * 32}'",
        "device[1].bindkey: all F: the cloud's way to say that there is no key; leave it out",
    ),
    (f"[[device]]\n{MAC}\nbindkey = ''", "device[1].bindkey: is empty"),
    (f"[[device]]\n{MAC}\nread = 'daily'", f'device[1].read: {DURATION}, or "off"'),
    (f"[[device]]\n{MAC}\nread = '0'", 'device[1].read: expected at least "1s", or "off"'),
    (f"[[device]]\n{MAC}\nread_limit = true", "device[1].read_limit: expected a whole number, found a boolean"),
    (f"[[device]]\n{MAC}\nprefer = [1]", "device[1].prefer[1]: expected text in quotes, found a number"),
    (f"[[device]]\n{MAC}\nonly = ['a']\navoid = ['a']", 'device[1].avoid: "a" is also in only'),
    ("[devices]\nunlisted = 'drop'", 'devices.unlisted: expected "emit" or "ignore"'),
    ("[history]\nkeep = '0'", 'history.keep: expected at least "1s"'),
    ("[history]\nkeep = '999999d'", f"history.keep: {DURATION}; this one is longer than a hundred years"),
    ("[history]\nmax_size = '0'", f"history.max_size: {SIZE}"),
    ("[history]\nmax_size = '4'", f"history.max_size: {SIZE}"),
    ("[history]\nmax_size = '4gb'", f"history.max_size: {SIZE}"),
    ("[history]\nmax_size = 4000000000", f"history.max_size: {SIZE}, found a number"),
    ("[history]\nmax_size = '99.9MB'", 'history.max_size: expected "100MB" to "1000TB"'),
    ("[history]\nmax_size = '1001TB'", 'history.max_size: expected "100MB" to "1000TB"'),
    ("[history]\npath = false", "history.path: expected text in quotes, found a boolean"),
    ('[sink.jsonl]\npath = "a\\u0000b"', "sink.jsonl.path: expected text without a zero character (\\u0000)"),
    ("[web]\nlisten = '8099'", 'web.listen: expected "host:port", such as "127.0.0.1:8099" or "[::1]:8099"'),
    (
        "[web]\nlisten = '0.0.0.0:8099'\ntoken = 'abc'",
        "web.token: 3 characters, expected at least 16 beyond loopback; make one with: openssl rand -hex 16",
    ),
    ("[web]\nlisten = '0.0.0.0:8099'", "web.token: missing: compulsory when listen is not on loopback"),
    ("sink = 'mqtt'", "sink: expected tables, [sink.NAME] each"),
    ("[sink.jsonl]\npth = '-'", 'sink.jsonl.pth: unknown key, did you mean "path"?'),
    ("[sink.jsnl]", 'sink.jsnl: unknown sink, did you mean "jsonl"?'),
]


@pytest.mark.parametrize(("text", "problem"), BROKEN, ids=[problem.partition(":")[0] for _, problem in BROKEN])
def test_an_error_has_its_place_and_what_was_expected(write, text, problem):
    """One error gives one problem, with exactly this text."""
    assert problems(write(text)) == [f"devices.toml: {problem}"]


def test_all_problems_are_reported_at_once(write):
    """All errors of a file are in one exception."""
    text = "\n".join(
        [
            "[service]\ncoalesce = 50",
            "[[proxy]]\nport = 0",
            f"[[device]]\nmac = 1\nbindkey = '{KEY[1:]}'\nlegs = 2",
            "[weB]",
        ]
    )
    places = [problem.split(": ")[1] for problem in problems(write(text))]
    assert sorted(places) == sorted(
        [
            "service.coalesce",
            "proxy[1].name",
            "proxy[1].port",
            "device[1].mac",
            "device[1].bindkey",
            "device[1].legs",
            "weB",
        ]
    )


def test_entries_are_counted_from_one(write):
    """device[2] is the second [[device]] of the file."""
    text = f"[[device]]\n{MAC}\n[[device]]\nmac = 'A4:C1:38:02:83:F5'\nbindkey = '{KEY[1:]}'"
    assert problems(write(text)) == ["devices.toml: device[2].bindkey: 31 hex digits, expected 24 or 32"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[service]\ncoalesce = = 1", "devices.toml: line 2, column 12: not TOML"),
        ("[service", "devices.toml: "),
        ("[service]\n[service]", "devices.toml: line 2, column 9: not TOML"),
    ],
)
def test_a_syntax_error_has_its_line_and_column(write, text, place):
    """As tomllib gives them."""
    (problem,) = problems(write(text))
    assert problem.startswith(place)


def test_bytes_that_are_not_utf_8_have_their_line(tmp_path):
    """They raise ConfigError."""
    path = tmp_path / "devices.toml"
    path.write_bytes(b"[service]\n# \xff\n")
    assert problems(path) == ["devices.toml: line 2: not UTF-8 text"]


def test_the_first_existing_configuration_is_found(tmp_path, monkeypatch):
    """The working directory's before the user's; always the one that is named; None where there is none."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert find() is None
    users = tmp_path / ".config/proxy-listener/devices.toml"
    users.parent.mkdir(parents=True)
    users.touch()
    assert find() == users
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert find() is None
    Path("devices.toml").touch()
    assert find() == Path("devices.toml")
    assert find("no.toml") == Path("no.toml")


def test_a_missing_file_is_named_with_its_path(tmp_path):
    """The user may have another file in mind."""
    assert problems(tmp_path / "no.toml") == [f"{tmp_path / 'no.toml'}: cannot be read: No such file or directory"]


CANARY = "c0ffee" * 5 + "1"


@pytest.mark.parametrize(
    "text",
    [
        f"[[device]]\n{MAC}\nbindkey = '{CANARY}'",
        f"[[device]]\nmac = '{CANARY}'",
        f"[[device]]\n{MAC}\nread = '{CANARY}'",
        f"[[device]]\n{MAC}\nbindkey = {{ file = '{CANARY}' }}",
        f"[[device]]\n{MAC}\nbindkey = {{ env = '{CANARY}' }}",
        f"[[device]]\n{MAC}\n{CANARY} = 'bindkey'",
        f"[[device]]\n{MAC}\nbindkey = '{CANARY}",
        f"[[device]]\n{MAC}\nbindkey = {CANARY}",
        f"[[device]]\n{MAC}\nprefer = '{CANARY}'",
        f"[{CANARY}]\n[{CANARY}]",
        f"[discovery]\naccept = '{CANARY}'",
        f"[discovery]\nnoise_psk = '{CANARY}'",
        f"[web]\nlisten = '{CANARY}'",
        f"[sink.{CANARY}]",
        f"[sink.jsonl]\npath = ['{CANARY}']",
    ],
)
def test_no_message_repeats_a_secret(write, text):
    """Neither a key on its own line nor one on a wrong line."""
    assert not [problem for problem in problems(write(text)) if CANARY[:12] in problem]


def test_every_key_arrives_in_its_field(write, tmp_path, monkeypatch):
    """Every key of every table, in the unit of its field."""
    (tmp_path / "kitchen.key").write_text(PSK + "\n", encoding="ascii")
    (tmp_path / "kitchen.key").chmod(0o600)
    monkeypatch.setenv("KITCHEN_PASSWORD", "opensesame")
    config = load(
        write(f"""
[service]
coalesce = "0"
[discovery]
accept = "all"
noise_psk = "{PSK}"
interfaces = ["127.0.0.1", "::1"]
dial_in = "[::]:6054"
[[proxy]]
name = "kitchen-proxy"
mac = "A0:B1:C2:D3:E4:F5"
room = "Küche"
noise_psk = {{ file = "kitchen.key" }}
password = {{ env = "KITCHEN_PASSWORD" }}
host = "192.0.2.10"
port = 6054
insist = true
[[device]]
{MAC}
name = "Bedroom climate"
bindkey = ["{KEY}", "b853075158487ca39a5b5ea9"]
allow_plaintext = true
prefer = ["a"]
only = ["a", "b"]
avoid = ["c"]
read = "5m"
read_limit = 3
[[device]]
mac = "58-2d-34-35-05-21"
read = "off"
[devices]
unlisted = "ignore"
[history]
path = "h.db"
keep = "1.5d"
sealed = "0"
max_size = "1.5 GB"
[sink.jsonl]
path = "out.jsonl"
[web]
listen = "[::]:80"
token = "a-token-of-22-letters."
hosts = ["plants.example"]
""")
    )
    assert config.service == ServiceSettings(coalesce=0.0)
    assert config.discovery == DiscoverySettings("all", Secret(PSK), ("127.0.0.1", "::1"), "[::]:6054")
    assert config.proxies == (
        ProxySettings(
            "kitchen-proxy",
            0xA0B1C2D3E4F5,
            "Küche",
            Secret(PSK),
            Secret("opensesame"),
            "192.0.2.10",
            6054,
            insist=True,
        ),
    )
    keys = (Secret(KEY), Secret("b853075158487ca39a5b5ea9"))
    assert config.devices == (
        DeviceSettings(0xA4C1380283F4, "Bedroom climate", keys, True, ("a",), ("a", "b"), ("c",), 300.0, 3),
        DeviceSettings(0x582D34350521, read=None),
    )
    assert config.unlisted == DevicesSettings("ignore")
    assert config.history == HistorySettings("h.db", 1.5 * DAY, 0.0, 1_500_000_000)
    assert config.sinks == {"jsonl": jsonl.Settings("out.jsonl")}
    assert config.web == WebSettings("[::]:80", Secret("a-token-of-22-letters."), ("plants.example",))
    assert not [secret for secret in (KEY, PSK, "opensesame", "'t'") if secret in repr(config)]


def test_an_empty_file_prints_readings_and_has_defaults(write):
    """Without [sink] readings go to standard output."""
    path = write("")
    assert load(path) == Config(sinks={"jsonl": jsonl.Settings("-")}, path=path)


def test_an_empty_sink_table_means_no_sink(write):
    """[sink] without entries turns the default off."""
    assert load(write("[sink]")).sinks == {}


def test_a_file_of_windows_loads(tmp_path):
    """A byte order mark and CRLF are no error."""
    path = tmp_path / "devices.toml"
    path.write_bytes(b"\xef\xbb\xbf[service]\r\ncoalesce = '1s'\r\n")
    assert load(path).service.coalesce == 1.0


def test_the_example_is_the_default():
    """The devices.toml of the repository loads as it is, changes nothing, and holds no secret."""
    config = load(EXAMPLE)
    assert attrs.evolve(config, path=None) == Config(sinks={"jsonl": jsonl.Settings("-")})


TABLES = {
    "service": ServiceSettings,
    "discovery": DiscoverySettings,
    "proxy": ProxySettings,
    "device": DeviceSettings,
    "devices": DevicesSettings,
    "history": HistorySettings,
    "share": ShareSettings,
    "web": WebSettings,
    "jsonl": jsonl.Settings,
    "mqtt": mqtt.Settings,
    "prometheus": prometheus.Settings,
}


def test_the_example_has_every_key_and_no_other(tmp_path):
    """Without its comment signs it loads, and each table has exactly the keys of its class."""
    text = EXAMPLE.read_text(encoding="utf-8")
    bare = re.sub(r"^# (\[|[a-z_]+ += )", r"\1", text, flags=re.MULTILINE)
    bare = bare.replace('noise_psk = "..."', f'noise_psk = "{PSK}"').replace('bindkey = "..."', f'bindkey = "{KEY}"')
    bare = bare.replace('{ env = "KITCHEN_PASSWORD" }', '"p"').replace('"/etc/', f'"{tmp_path}/')
    for name in re.findall(rf'(?:file = |{tmp_path}/)"?([^"]+)"', bare):
        secret = tmp_path / name
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text(PSK, encoding="ascii")
        secret.chmod(0o600)
    path = tmp_path / "devices.toml"
    path.write_text(bare, encoding="utf-8")
    path.chmod(0o600)
    load(path)
    document = tomllib.loads(bare)
    found = {name: table[0] if isinstance(table, list) else table for name, table in document.items()} | document[
        "sink"
    ]
    assert {name: set(table) for name, table in found.items() if name != "sink"} == {
        name: {field.name for field in attrs.fields(settings)} for name, settings in TABLES.items()
    }


def test_the_name_of_an_unlisted_proxy_is_a_warning(write):
    """It may be the name of a node found by mDNS."""
    path = write(f"[[proxy]]\nname = 'kitchen-proxy'\n[[device]]\n{MAC}\nprefer = ['kitchen-prxy', 'kitchen-proxy']")
    (doubt,) = map(str, doubts(load(path)))
    assert doubt == (
        'devices.toml: device[1].prefer: no [[proxy]] is named "kitchen-prxy"; the name of a node found by mDNS works '
        'too, did you mean "kitchen-proxy"?'
    )


def test_a_configuration_without_proxies_and_key_is_a_warning(write):
    """No node is accepted then."""
    assert [str(doubt).split(": ")[1] for doubt in doubts(load(write("")))] == ["discovery.accept"]
    assert doubts(load(write(f"[discovery]\nnoise_psk = '{PSK}'"))) == []


def test_a_port_that_no_node_may_call_is_a_warning(write):
    """An entry needs a MAC and a key; the shared key lets in nodes without an entry, unless only listed ones may."""
    calls = "[discovery]\ndial_in = '0.0.0.0:6054'\n"
    entry = "[[proxy]]\nname = 'attic'\n"
    own, mac = f"noise_psk = '{PSK}'\n", "mac = 'A0:B1:C2:D3:E4:F5'\n"
    for useless in (
        calls + entry,
        calls + entry + own,
        calls + entry + mac,
        calls + "accept = 'listed'\n" + own + entry,
    ):
        assert [str(doubt).split(": ")[1] for doubt in doubts(load(write(useless)))] == ["discovery.dial_in"]
    for useful in (calls + entry + own + mac, calls + own, calls + own + entry + mac):
        assert doubts(load(write(useful))) == []


def test_errors_of_a_sinks_settings_have_their_key(write):
    """They are reported like other errors: all at once, each with its place."""
    text = '[sink.mqtt]\nport = 0\nversion = "4"\npasword = "x"\nbase = "a//b"'
    assert problems(write(text)) == [
        "devices.toml: sink.mqtt.port: expected a port, 1 to 65535",
        'devices.toml: sink.mqtt.version: expected "auto", "5" or "3.1.1"',
        "devices.toml: sink.mqtt.base: expected a topic of letters, digits, _ . - and single /, at most 64 characters",
        'devices.toml: sink.mqtt.pasword: unknown key, did you mean "password"?',
    ]
    text = '[sink.mqtt]\nhost = "192.0.2.1"\nuser = "a"\npassword = "b"'
    assert problems(write(text)) == [
        "devices.toml: sink.mqtt: user and password would travel unencrypted: set tls = true, or insecure = true"
    ]


@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "large"])
def test_what_is_no_small_regular_file_is_refused_at_once(tmp_path, kind):
    """A pipe without a writer would block, and /dev/zero never ends."""
    path = tmp_path / "devices.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "large":
        path.write_text("#" * 1_000_001)
    else:
        path = Path("/dev/zero")
    (problem,) = problems(path)
    reasons = {"large": "larger than 1000000 bytes", "directory": "Is a directory"}
    assert problem.split(": cannot be read: ")[1] in {reasons.get(kind, "not a regular file"), "not a regular file"}


@pytest.mark.parametrize("deep", ["a = " + "[" * 50_000, "a = " + "{b=" * 50_000, ".".join("a" * 3_000) + " = 1"])
def test_deep_toml_is_refused(write, deep):
    """With one problem, however deep it is."""
    (problem,) = problems(write(deep))
    assert problem.startswith("devices.toml")


def test_a_missing_extra_is_reported_with_its_command(write):
    """In a process without aiomqtt: status 78."""
    code = "import sys; sys.modules['aiomqtt'] = None; from proxy_listener.cli import main; main()"
    words = [sys.executable, "-c", code, "check", "-c", str(write("[sink.mqtt]"))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    pip = f"{sys.executable} -m pip" if sys.prefix != sys.base_prefix else "pip"
    expected = f"devices.toml: sink.mqtt: needs an extra, in the project's folder: {pip} install '.[mqtt]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (78, "", expected)
