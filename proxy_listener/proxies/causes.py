"""Why a proxy is not live, in words: an exception of the client library in, a state with its cause out.

THE TABLE of states: each has one sentence of cause and one of advice. The rule of this file: nothing of an exception's
text is repeated, because a node chooses some of it; what the operating system said is the one exception.
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
class Verdict:
    """How a proxy is, why, and what a person can do about it (empty where nothing is wrong)."""

    state: ProxyState
    cause: str
    advice: str

    def because(self, cause: str) -> "Verdict":
        """The same state and advice with a cause that says more."""
        return attrs.evolve(self, cause=cause)


_S = ProxyState
VERDICTS: Mapping[ProxyState, Verdict] = {
    state: Verdict(state, cause, advice)
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
            "the stream stopped while other proxies hear: another client took it, as firmware from 2026.7 allows",
            "a proxy serves one client: remove it from the other one, or set insist = true in its [[proxy]] entry",
        ),
        (
            _S.WRONG_KEY,
            "the node refused our key",
            # A node of 2026.10 with encryption but no key refuses in the same words, name and MAC.
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
            "its firmware does not stream advertisements",
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
            "found by mDNS, but the configuration does not let it in",
            'give it a [[proxy]] entry, or a key under [discovery], or set accept = "all"',
        ),
        (_S.INCOMPATIBLE, "it speaks another version of the native API", "update proxy_listener"),
    )
}

RESTARTS = "it said goodbye: it restarts, or is being updated"
ASLEEP = Verdict(
    _S.UNREACHABLE,
    "it said goodbye and went to sleep, as its firmware has it do",
    "a proxy must stay awake to hear: remove deep_sleep: from its YAML",
)


def _system_words(error: BaseException | None) -> str:
    """What the operating system said, somewhere along the chain of causes: ``Connection refused``."""
    for _ in range(8):
        if error is None:
            return ""
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno)
        error = error.__cause__
    return ""


_BY_ERROR: tuple[tuple[type[BaseException], Verdict], ...] = (
    (EncryptionErrorAPIError, VERDICTS[_S.UNREACHABLE].because("what it sent failed the encryption's check")),
    (InvalidEncryptionKeyAPIError, VERDICTS[_S.WRONG_KEY]),
    (RequiresEncryptionAPIError, VERDICTS[_S.NEEDS_KEY]),
    (EncryptionPlaintextAPIError, VERDICTS[_S.NOT_ENCRYPTED]),
    (InvalidAuthAPIError, VERDICTS[_S.WRONG_PASSWORD]),
    (BadMACAddressAPIError, VERDICTS[_S.WRONG_NODE]),
    (ResolveAPIError, VERDICTS[_S.UNREACHABLE].because("its name does not resolve to an address")),
    (PingFailedAPIError, VERDICTS[_S.UNREACHABLE].because("it stopped answering pings")),
    (TimeoutAPIError, VERDICTS[_S.UNREACHABLE].because("it did not answer in time")),
    (TimeoutError, VERDICTS[_S.UNREACHABLE].because("it did not answer in time")),
    (ProtocolAPIError, VERDICTS[_S.UNREACHABLE].because("it sent what is not the native API")),
    (EncryptionHelloAPIError, VERDICTS[_S.FULL]),
    (SocketClosedAPIError, VERDICTS[_S.FULL]),
    (ConnectionResetError, VERDICTS[_S.FULL]),
    (HandshakeAPIError, VERDICTS[_S.UNREACHABLE].because("it broke the encryption's handshake off")),
)
"""The first row that fits: a subclass stands before its base. A node that hangs up in the middle of saying hello is
what one client too many sees, with and without encryption."""


def diagnose(error: BaseException, *, unprovisioned: bool = False) -> Verdict:
    """A failed attempt, as a verdict.

    ``unprovisioned``: mDNS says that the node supports encryption and has no key yet; such a node answers our key
    with the same refusal as to a wrong one (measured on 2026.10).
    """
    for kind, verdict in _BY_ERROR:
        if isinstance(error, kind):
            if unprovisioned and verdict.state is ProxyState.WRONG_KEY:
                return VERDICTS[ProxyState.NOT_ENCRYPTED]
            return verdict
    if "Incompatible API version" in str(error):
        return VERDICTS[ProxyState.INCOMPATIBLE]
    words = _system_words(error)
    unreachable = VERDICTS[ProxyState.UNREACHABLE]
    return unreachable.because(f"the node cannot be reached: {words}") if words else unreachable


def garbled(error: BaseException | None) -> bool:
    """Whether the node broke the protocol itself, which a proxy never does twice."""
    if isinstance(error, RequiresEncryptionAPIError):
        return False
    return isinstance(error, ProtocolAPIError | EncryptionErrorAPIError)
