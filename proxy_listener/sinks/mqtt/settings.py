"""``[sink.mqtt]`` of ``devices.toml``, checked.

An error says what is wrong and never repeats a value, because a password may stand on the wrong line.
"""

import re
from pathlib import Path
from typing import Any, Literal

import attrs

from proxy_listener.model.secret import Secret
from proxy_listener.model.text import loopback

PORT, TLS_PORT = 1883, 8883

_TOPIC = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_CLIENT = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _topic(_settings: Any, _field: Any, value: str) -> None:
    if len(value) > 64 or not _TOPIC.fullmatch(value):
        raise ValueError("expected a topic of letters, digits, _ . - and single /, at most 64 characters")


def _port(_settings: Any, _field: Any, value: int | None) -> None:
    if value is not None and not 1 <= value <= 65_535:
        raise ValueError("expected a port, 1 to 65535")


def _client(_settings: Any, _field: Any, value: str | None) -> None:
    if value is not None and not _CLIENT.fullmatch(value):
        raise ValueError("expected 1 to 64 letters, digits, _ or -")


def _file(_settings: Any, _field: Any, value: str | None) -> None:
    if value is not None and not (Path(value).is_absolute() and Path(value).is_file()):
        raise ValueError("expected the absolute path of a file that exists")


@attrs.frozen
class Settings:
    """The broker's address, the login, and the topics.

    ``ca`` is a file with the authority that signed the broker's certificate (default: the system's authorities),
    ``cert`` and ``key`` are files with the client's certificate; each of them switches ``tls`` on. ``insecure`` allows
    an unencrypted password. ``discovery`` says which devices Home Assistant is told about, ``prefix`` where it listens.
    """

    host: str = "127.0.0.1"
    port: int | None = attrs.field(default=None, validator=_port)
    user: str | None = None
    password: Secret | None = None
    tls: bool = False
    ca: str | None = attrs.field(default=None, validator=_file)
    cert: str | None = attrs.field(default=None, validator=_file)
    key: str | None = attrs.field(default=None, validator=_file)
    insecure: bool = False
    version: Literal["auto", "5", "3.1.1"] = "auto"
    client_id: str | None = attrs.field(default=None, validator=_client)
    base: str = attrs.field(default="proxy-listener", validator=_topic)
    history: bool = True
    discovery: Literal["all", "listed", "off"] = "all"
    prefix: str = attrs.field(default="homeassistant", validator=_topic)

    def __attrs_post_init__(self) -> None:
        if self.password is not None and self.user is None:
            raise ValueError("a password needs a user")
        if self.key is not None and self.cert is None:
            raise ValueError("a key needs a cert")
        if self.user is not None and not (self.encrypted or self.insecure or loopback(self.host)):
            raise ValueError("user and password would travel unencrypted: set tls = true, or insecure = true")

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.tls or self.ca is not None or self.cert is not None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (TLS_PORT if self.encrypted else PORT)
