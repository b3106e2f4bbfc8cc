"""The state directory: where it is, who holds it, and how files in it are replaced."""

import os
import resource
import stat
from pathlib import Path

import pytest

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.state import had_history, single_instance, state_directory, write_private


def test_the_option_comes_before_systemd_and_systemd_before_xdg(tmp_path, monkeypatch):
    """Of several directories of systemd the first is used; without any variable, the default below the home."""
    for name in ("XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_directory() == tmp_path / ".local/state/proxy-listener"
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_directory() == Path("/xdg/proxy-listener")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/proxy-listener:/var/lib/other")
    assert state_directory() == Path("/var/lib/proxy-listener")
    assert state_directory("given") == Path("given")


def test_a_state_directory_has_one_holder(tmp_path):
    """A second one is refused with the first one's process id; a lock file of a dead process does not count."""
    with (
        single_instance(tmp_path),
        pytest.raises(ProxyListenerError, match=f"process {os.getpid()} already runs"),
        single_instance(tmp_path),
    ):
        pass
    (tmp_path / "service.lock").write_text("1\n")
    with single_instance(tmp_path):
        assert (tmp_path / "service.lock").read_text() == f"{os.getpid()}\n"


def test_a_directory_that_everybody_can_write_into_is_refused(tmp_path):
    """The error has the command that corrects it; after that the directory is used."""
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    with pytest.raises(ProxyListenerError, match=f"fix it with: chmod 700 {state}"), single_instance(state):
        pass
    state.chmod(0o700)
    with single_instance(state):
        assert (state / "service.lock").exists()


def test_a_full_disk_is_named_with_the_directory(tmp_path):
    """Nothing of the lock can be written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(ProxyListenerError, match=f"{tmp_path} cannot be written: "), single_instance(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    """The file that it leads to keeps its content."""
    (tmp_path / "other").write_text("precious")
    (tmp_path / "service.lock").symlink_to(tmp_path / "other")
    with pytest.raises(ProxyListenerError, match="cannot be used"), single_instance(tmp_path):
        pass
    assert (tmp_path / "other").read_text() == "precious"


def test_a_private_file_is_its_owners_alone(tmp_path):
    """Whatever the mode of the file that it replaces; nothing else is left in the directory."""
    path = tmp_path / "nodes.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new\r\n")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new\r\n", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    """The file that it leads to keeps its content."""
    other, path = tmp_path / "other", tmp_path / "nodes.json"
    other.write_text("precious")
    path.symlink_to(other)
    write_private(path, "new")
    assert (other.read_text(), path.read_text(), path.is_symlink()) == ("precious", "new", False)


def test_a_file_can_keep_its_owner_and_the_owners_permissions(tmp_path):
    """Root who edits another user's file leaves it to that user."""
    path = tmp_path / "devices.toml"
    path.write_text("old")
    path.chmod(0o440)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    write_private(path, "new", like=before)
    after = path.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o400)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    """A text that cannot be encoded fails after the new file was made: it is removed."""
    path = tmp_path / "nodes.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\udcff")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("uses", "before"),
    [
        ((), False),
        ((False,), False),
        ((False, False), False),
        ((True,), True),
        ((True, False), True),
        ((False, True), True),
    ],
)
def test_only_a_process_that_keeps_a_history_leaves_the_mark_of_one(tmp_path, uses, before):
    """After a recording without a service, a first run does not say that a history was lost."""
    for keeps_history in uses:
        with single_instance(tmp_path, keeps_history=keeps_history):
            pass
    assert had_history(tmp_path) is before


def test_the_holder_is_named_also_while_it_records(tmp_path):
    """By its process id alone."""
    with (
        single_instance(tmp_path, keeps_history=False),
        pytest.raises(ProxyListenerError, match=f"^process {os.getpid()} already runs"),
        single_instance(tmp_path),
    ):
        pass
