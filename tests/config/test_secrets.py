"""Where secrets come from, and which files are refused."""

from pathlib import Path

import pytest

from proxy_listener.config import load
from proxy_listener.model.errors import ConfigError
from proxy_listener.model.secret import Secret

KEY = "e9ea895fac7cca6d30532432a516f3a8"


@pytest.fixture
def config_with(tmp_path):
    """Writes devices.toml with one device and the given bindkey, and gives its path."""

    def config_with(bindkey: str, mode: int = 0o600) -> Path:
        path = tmp_path / "devices.toml"
        path.write_text(f"[[device]]\nmac = 'A4:C1:38:02:83:F4'\nbindkey = {bindkey}\n", encoding="utf-8")
        path.chmod(mode)
        return path

    return config_with


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
def test_a_readable_configuration_with_secrets_is_refused(config_with, mode):
    """The error has the command that fixes it."""
    path = config_with(f"'{KEY}'", mode)
    assert refused(path) == f"devices.toml: holds secrets and others can read it; fix it with: chmod 600 {path}"
    path.chmod(0o600)
    assert load(path).devices[0].bindkey == (Secret(KEY),)


def test_a_configuration_without_literal_secrets_may_be_readable(config_with, tmp_path):
    """The name of a file or a variable is no secret."""
    key_file(tmp_path)
    assert load(config_with("{ file = 'bedroom.key' }", 0o644)).devices[0].bindkey == (Secret(KEY),)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_line_break_at_the_end_of_a_key_file_is_ignored(config_with, tmp_path, ending):
    """Editors add one."""
    key_file(tmp_path, content=KEY.encode() + ending)
    assert load(config_with("{ file = 'bedroom.key' }")).devices[0].bindkey == (Secret(KEY),)


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_a_readable_key_file_is_refused(config_with, tmp_path, mode):
    """The error has the command that fixes it."""
    path = key_file(tmp_path, mode)
    assert refused(config_with("{ file = 'bedroom.key' }")) == (
        f"devices.toml: device[1].bindkey: holds a secret and others can read it; fix it with: chmod 600 {path}"
    )


def test_files_of_systemd_may_have_any_mode(config_with, tmp_path, monkeypatch):
    """$CREDENTIALS_DIRECTORY keeps other users out, from keys and from the configuration."""
    key_file(tmp_path, 0o644)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load(config_with("{ file = 'bedroom.key' }")).devices[0].bindkey == (Secret(KEY),)
    assert load(config_with(f"'{KEY}'", 0o440)).devices[0].bindkey == (Secret(KEY),)


def test_a_link_out_of_the_credentials_is_checked(config_with, tmp_path, monkeypatch):
    """The mode of the file that it leads to counts."""
    outside = key_file(tmp_path, 0o644)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "link.key").symlink_to(outside)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert "chmod 600" in refused(config_with("{ file = 'credentials/link.key' }"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xff\xfe", "bedroom.key is not UTF-8 text"),
        (b"0" * 5000, "cannot read {folder}/bedroom.key: larger than 4096 bytes"),
        (KEY.encode()[:30] + b"\n", "30 hex digits, expected 24 or 32"),
    ],
)
def test_a_key_file_without_a_key_is_named(config_with, tmp_path, content, words):
    """The error has its name and not its content."""
    key_file(tmp_path, content=content)
    words = words.format(folder=tmp_path)
    assert refused(config_with("{ file = 'bedroom.key' }")) == f"devices.toml: device[1].bindkey: {words}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no.key", "cannot read {folder}/no.key: No such file or directory"),
        (".", ". is not a regular file"),
        ("/dev/zero", "/dev/zero is not a regular file"),
        ("a\\u0000b", "expected the path of a file"),
    ],
)
def test_a_key_file_must_be_a_regular_file(config_with, tmp_path, name, words):
    """No directory and no device, which could block. The error says where it looked."""
    words = words.format(folder=tmp_path)
    assert refused(config_with(f'{{ file = "{name}" }}')) == f"devices.toml: device[1].bindkey: {words}"


def test_a_secret_from_the_environment(config_with, monkeypatch):
    """The error for a missing variable has its name."""
    path = config_with("{ env = 'BEDROOM_KEY' }", 0o644)
    words = "devices.toml: device[1].bindkey: the environment variable BEDROOM_KEY is not set"
    assert refused(path) == words
    monkeypatch.setenv("BEDROOM_KEY", KEY)
    assert load(path).devices[0].bindkey == (Secret(KEY),)


def test_a_variable_must_be_utf_8(config_with, monkeypatch):
    """Other bytes are refused without being shown."""
    path = config_with("{ env = 'BEDROOM_KEY' }", 0o644)
    monkeypatch.setenv("BEDROOM_KEY", "\udcff" * 32)
    assert refused(path) == "devices.toml: device[1].bindkey: expected UTF-8"


@pytest.mark.parametrize("value", ["5", "true", "{ file = 5 }", "{ path = 'x' }", "{ file = 'a', env = 'b' }", "{}"])
def test_a_secret_of_another_form_is_refused(config_with, value):
    """Numbers, and tables with other keys."""
    words = 'expected text, { file = "..." } or { env = "NAME" }'
    assert refused(config_with(value)) == f"devices.toml: device[1].bindkey: {words}"
