"""Where secrets come from, and who may read the files that hold them."""

from pathlib import Path

import pytest

from proxy_listener.config import load
from proxy_listener.model.errors import ConfigError
from proxy_listener.model.secret import Secret

KEY = "e9ea895fac7cca6d30532432a516f3a8"


@pytest.fixture
def house(tmp_path):
    """Writes devices.toml with one device and the given bindkey, and gives its path."""

    def house(bindkey: str, mode: int = 0o600) -> Path:
        path = tmp_path / "devices.toml"
        path.write_text(f"[[device]]\nmac = 'A4:C1:38:02:83:F4'\nbindkey = {bindkey}\n", encoding="utf-8")
        path.chmod(mode)
        return path

    return house


def key_file(folder: Path, mode: int = 0o600, content: bytes = KEY.encode() + b"\n") -> Path:
    path = folder / "bedroom.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666])
def test_a_configuration_with_secrets_that_others_can_read_is_refused(house, mode):
    """The error holds the command that mends it."""
    path = house(f"'{KEY}'", mode)
    assert refused(path) == f"devices.toml: holds secrets and others can read it; fix it with: chmod 600 {path}"
    path.chmod(0o600)
    assert load(path).devices[0].bindkey == (Secret(KEY),)


def test_a_configuration_without_literal_secrets_may_be_read_by_all(house, tmp_path):
    """What only names a file or a variable gives nothing away."""
    key_file(tmp_path)
    assert load(house("{ file = 'bedroom.key' }", 0o644)).devices[0].bindkey == (Secret(KEY),)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_secret_s_file_may_end_its_line(house, tmp_path, ending):
    """Editors write a line's end; it is no part of the key."""
    key_file(tmp_path, content=KEY.encode() + ending)
    assert load(house("{ file = 'bedroom.key' }")).devices[0].bindkey == (Secret(KEY),)


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_a_secret_s_file_that_others_can_read_is_refused(house, tmp_path, mode):
    """With the command that mends it."""
    path = key_file(tmp_path, mode)
    assert refused(house("{ file = 'bedroom.key' }")) == (
        f"devices.toml: device[1].bindkey: holds a secret and others can read it; fix it with: chmod 600 {path}"
    )


def test_what_systemd_hands_over_may_have_any_mode(house, tmp_path, monkeypatch):
    """Under $CREDENTIALS_DIRECTORY the directory keeps others out, for keys and for the configuration itself."""
    key_file(tmp_path, 0o644)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load(house("{ file = 'bedroom.key' }")).devices[0].bindkey == (Secret(KEY),)
    assert load(house(f"'{KEY}'", 0o440)).devices[0].bindkey == (Secret(KEY),)


def test_a_link_does_not_lead_out_of_the_credentials(house, tmp_path, monkeypatch):
    """What counts is where the file is, not what its path says."""
    outside = key_file(tmp_path, 0o644)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "link.key").symlink_to(outside)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert "chmod 600" in refused(house("{ file = 'credentials/link.key' }"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xff\xfe", "bedroom.key is not UTF-8 text"),
        (b"0" * 5000, "bedroom.key is longer than 4096 bytes"),
        (KEY.encode()[:30] + b"\n", "30 hex digits, expected 24 or 32"),
    ],
)
def test_a_secret_s_file_that_holds_none_is_named(house, tmp_path, content, words):
    """The file's name, never its content."""
    key_file(tmp_path, content=content)
    assert refused(house("{ file = 'bedroom.key' }")) == f"devices.toml: device[1].bindkey: {words}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no.key", "cannot read no.key: No such file or directory"),
        (".", ". is not a regular file"),
        ("/dev/zero", "/dev/zero is not a regular file"),
        ("a\\u0000b", "expected the path of a file"),
    ],
)
def test_a_secret_s_file_that_is_none_is_named(house, name, words):
    """No directory, no device, nothing that blocks."""
    assert refused(house(f'{{ file = "{name}" }}')) == f"devices.toml: device[1].bindkey: {words}"


def test_a_secret_from_the_environment(house, monkeypatch):
    """The variable's value; its name where it is not set."""
    path = house("{ env = 'BEDROOM_KEY' }", 0o644)
    words = "devices.toml: device[1].bindkey: the environment variable BEDROOM_KEY is not set"
    assert refused(path) == words
    monkeypatch.setenv("BEDROOM_KEY", KEY)
    assert load(path).devices[0].bindkey == (Secret(KEY),)


def test_a_secret_of_the_environment_that_is_no_text(house, monkeypatch):
    path = house("{ env = 'BEDROOM_KEY' }", 0o644)
    monkeypatch.setenv("BEDROOM_KEY", "\udcff" * 32)
    assert refused(path) == "devices.toml: device[1].bindkey: expected UTF-8"


@pytest.mark.parametrize("value", ["5", "true", "{ file = 5 }", "{ path = 'x' }", "{ file = 'a', env = 'b' }", "{}"])
def test_what_is_no_secret_says_what_one_is(house, value):
    """Numbers, and tables with other keys."""
    words = 'expected text, { file = "..." } or { env = "NAME" }'
    assert refused(house(value)) == f"devices.toml: device[1].bindkey: {words}"
