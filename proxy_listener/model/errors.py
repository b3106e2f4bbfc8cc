"""What can go wrong, as types. Nothing here ever holds a secret: a message names a place and an expectation."""

import attrs

from proxy_listener.model.outcome import Outcome


class ProxyListenerError(Exception):
    """Any error that this program raises on purpose."""


class NoReadingError(ProxyListenerError):
    """An advertisement becomes no reading. ``outcome`` is the member of the closed list that says why."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(detail)
        self.outcome = outcome


class DecodeError(NoReadingError):
    """Bytes that are no reading; the text says which field is wrong."""


@attrs.frozen
class Problem:
    """One thing wrong in a configuration: where (``devices.toml: device[2].bindkey``) and what was expected there."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class ConfigError(ProxyListenerError):
    """Everything that is wrong in a configuration, all at once. Exit status 78."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class GattError(ProxyListenerError):
    """An operation over a connection failed. ``cause`` is one word for tables, the text is for people.

    Causes: ``no_slot``, ``refused``, ``timeout``, ``connection_lost``, ``bad_handle``, ``not_connected``, ``error``,
    ``proxy_gone``, ``no_answer`` (the proxy said nothing at all to a request to connect), ``refused_answer`` (the
    device answered, and the answer is no measurement), ``excess`` (the proxy sent more than any device has).
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
