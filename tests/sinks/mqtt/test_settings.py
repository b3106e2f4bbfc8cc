"""``[sink.mqtt]``: what is refused, and what follows from what."""

from pathlib import Path

import pytest

from proxy_listener.model.secret import Secret
from proxy_listener.sinks.mqtt import Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"base": "a/+/b"},
        {"base": ""},
        {"prefix": "/home"},
        {"port": 0},
        {"port": 65_536},
        {"client_id": "a b"},
        {"ca": "relative.pem"},
        {"ca": "/does/not/exist.pem"},
        {"key": "/dev/null", "cert": None},
        {"host": "broker.example", "user": "me"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Settings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "broker.example", "user": "me", "tls": True},
        {"host": "broker.example", "user": "me", "insecure": True},
        {"host": "::1", "user": "me"},
        {"host": "localhost", "user": "me"},
        {"host": "broker.example"},
    ],
)
def test_a_password_needs_encryption_loopback_or_the_users_permission(settings: dict[str, object]) -> None:
    assert Settings(**settings).host


def test_a_login_is_whole(tmp_path: Path) -> None:
    """A password needs a user, a key needs a certificate, and the error repeats neither."""
    with pytest.raises(ValueError, match=r"^a password needs a user$"):
        Settings(password=Secret("canary"))
    (tmp_path / "key.pem").touch()
    with pytest.raises(ValueError, match=r"^a key needs a cert$"):
        Settings(key=str(tmp_path / "key.pem"))


def test_a_certificate_switches_tls_on(tmp_path: Path) -> None:
    """A file of an authority is enough."""
    (tmp_path / "ca.pem").touch()
    assert Settings(ca=str(tmp_path / "ca.pem")).encrypted
    assert not Settings().encrypted


def test_ports_follow_from_tls() -> None:
    assert Settings().address == ("127.0.0.1", 1883)
    assert Settings(tls=True).address == ("127.0.0.1", 8883)
    assert Settings(tls=True, port=8884).address == ("127.0.0.1", 8884)
