"""Why a proxy is not live: an exception of the client library in; a state with its cause and advice out.

STATES is the table of all states: one sentence of cause and one of advice each. Invariant: an exception's text is never
repeated, because the node chooses some of it; the operating system's error text is the one exception.
"""

import os
from collections.abc import Mapping

import attrs
from aioesphomeapi.core import (
    BadMACAddressAPIError,
    EncryptionErrorAPIError,
    EncryptionHelloAPIError,
    EncryptionPlaintextAPIError,
    HandshakeAPIError,
    InvalidAuthAPIError,
    InvalidEncryptionKeyAPIError,
    PingFailedAPIError,
    ProtocolAPIError,
    RequiresEncryptionAPIError,
    ResolveAPIError,
    SocketClosedAPIError,
    TimeoutAPIError,
)

from proxy_listener.model.status import ProxyState


@attrs.frozen
class Diagnosis:
    """The state of a proxy, why, and what a person can do about it (empty where nothing is wrong)."""

    state: ProxyState
    cause: str
    advice: str

    def because(self, cause: str) -> "Diagnosis":
        """The same state and advice with another cause."""
        return attrs.evolve(self, cause=cause)


_S = ProxyState
STATES: Mapping[ProxyState, Diagnosis] = {
    state: Diagnosis(state, cause, advice)
    for state, cause, advice in (
        (_S.CONNECTING, "connecting, or waiting for the stream to begin", ""),
        (_S.LIVE, "listening", ""),
        (
            _S.SILENT,
            "connected and subscribed, but no advertisement comes",
            "if other rooms hear well, power-cycle this proxy; its scan parameters may also starve its Wi-Fi",
        ),
        (
            _S.HELD,
            "another client holds its advertisement stream",
            "a proxy serves one client: remove it from Home Assistant, or leave it there and give us another",
        ),
        (
            _S.TAKEN,
            "another client took its advertisement stream, as firmware from 2026.7 allows",
            "a proxy serves one client: remove it from the other one, or set insist = true in its [[proxy]] entry",
        ),
        (
            _S.WRONG_KEY,
            "the node refused our key",
            # A node of 2026.10 with encryption but without a key refuses with the same error, name and MAC.
            (
                "copy the key from the node's YAML (api: encryption: key) into noise_psk of its [[proxy]] entry; "
                "if the YAML has no key, add ours there"
            ),
        ),
        (
            _S.NEEDS_KEY,
            "the node wants encryption and we have no key for it",
            "copy the key from the node's YAML (api: encryption: key) into noise_psk of its [[proxy]] entry",
        ),
        (
            _S.WRONG_PASSWORD,
            "the node refused our password",
            "copy it from the YAML (api: password) into its [[proxy]] entry; if the YAML has none, remove it there",
        ),
        (
            _S.NOT_ENCRYPTED,
            "we have a key for the node, and it speaks plaintext; it is not spoken to without encryption",
            "add the key to the node's YAML (api: encryption: key), or remove noise_psk from its [[proxy]] entry",
        ),
        (_S.NOT_A_PROXY, "the node is no Bluetooth proxy", "add bluetooth_proxy: to its YAML if it should be one"),
        (
            _S.NO_RAW_STREAM,
            "its firmware does not stream raw advertisements",
            "update the node to ESPHome 2023.6 or later",
        ),
        (
            _S.WRONG_NODE,
            "another node than the expected one answers there",
            "correct mac or host in its [[proxy]] entry; for new hardware, remove its line in proxies.json",
        ),
        (
            _S.FULL,
            "the node closed the connection before it said hello: its client limit is reached, or it restarts",
            "disconnect other clients (dashboards, loggers), or raise api: max_connections in the node's YAML",
        ),
        (
            _S.UNREACHABLE,
            "the node does not answer",
            "check its power and Wi-Fi, and whether a firewall stands between",
        ),
        (
            _S.WEDGED,
            "its scanner hears nothing, although it was resubscribed, its scan mode toggled and its session renewed",
            "power-cycle the proxy",
        ),
        (
            _S.BENCHED,
            "it misbehaves, and is left alone for five minutes",
            "find out what this node is; a real proxy never does that",
        ),
        (
            _S.NOT_ACCEPTED,
            "found by mDNS, but the configuration does not admit it",
            'give it a [[proxy]] entry, or a key under [discovery], or set accept = "all"',
        ),
        (_S.INCOMPATIBLE, "it speaks another version of the native API", "update proxy_listener"),
    )
}

RESTARTS = "it said goodbye: it restarts, or is being updated"
ASLEEP = Diagnosis(
    _S.UNREACHABLE,
    "it said goodbye and went to sleep, as its firmware has it do",
    "a proxy must stay awake to hear: remove deep_sleep: from its YAML",
)


def _system_text(error: BaseException | None) -> str:
    """The operating system's error along the chain of causes, such as ``Connection refused``."""
    for _ in range(8):
        if error is None:
            return ""
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno)
        error = error.__cause__
    return ""


_BY_ERROR: tuple[tuple[type[BaseException], Diagnosis], ...] = (
    (EncryptionErrorAPIError, STATES[_S.UNREACHABLE].because("what it sent failed the encryption check")),
    (InvalidEncryptionKeyAPIError, STATES[_S.WRONG_KEY]),
    (RequiresEncryptionAPIError, STATES[_S.NEEDS_KEY]),
    (EncryptionPlaintextAPIError, STATES[_S.NOT_ENCRYPTED]),
    (InvalidAuthAPIError, STATES[_S.WRONG_PASSWORD]),
    (BadMACAddressAPIError, STATES[_S.WRONG_NODE]),
    (ResolveAPIError, STATES[_S.UNREACHABLE].because("its name does not resolve to an address")),
    (PingFailedAPIError, STATES[_S.UNREACHABLE].because("it stopped answering pings")),
    (TimeoutAPIError, STATES[_S.UNREACHABLE].because("it did not answer in time")),
    (TimeoutError, STATES[_S.UNREACHABLE].because("it did not answer in time")),
    (ProtocolAPIError, STATES[_S.UNREACHABLE].because("it sent what is not the native API")),
    (EncryptionHelloAPIError, STATES[_S.FULL]),
    (SocketClosedAPIError, STATES[_S.FULL]),
    (ConnectionResetError, STATES[_S.FULL]),
    (HandshakeAPIError, STATES[_S.UNREACHABLE].because("it broke off the encryption handshake")),
)
"""The first row that fits: a subclass stands before its base. A client too many sees the node hang up during the hello,
with and without encryption (docs/protocol/esphome-proxy.md#client-limit)."""


def diagnose(error: BaseException, *, unprovisioned: bool = False) -> Diagnosis:
    """The state after a failed attempt.

    ``unprovisioned``: mDNS says that the node supports encryption and has no key yet. Such a node answers our key with
    the same refusal as a wrong key (measured on 2026.10).
    """
    for kind, diagnosis in _BY_ERROR:
        if isinstance(error, kind):
            if unprovisioned and diagnosis.state is ProxyState.WRONG_KEY:
                return STATES[ProxyState.NOT_ENCRYPTED]
            return diagnosis
    if "Incompatible API version" in str(error):
        return STATES[ProxyState.INCOMPATIBLE]
    text = _system_text(error)
    unreachable = STATES[ProxyState.UNREACHABLE]
    return unreachable.because(f"the node cannot be reached: {text}") if text else unreachable


def broke_protocol(error: BaseException | None) -> bool:
    """Whether the node sent what is not the native API; a proxy does not do that repeatedly."""
    if isinstance(error, RequiresEncryptionAPIError):
        return False
    return isinstance(error, ProtocolAPIError | EncryptionErrorAPIError)
