import pytest
from aioesphomeapi.core import (
    APIConnectionError,
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
    ResolveTimeoutAPIError,
    SocketAPIError,
    SocketClosedAPIError,
    TimeoutAPIError,
)

from proxy_listener.model.status import ProxyState
from proxy_listener.proxies.states import STATES, broke_protocol, diagnose


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (InvalidEncryptionKeyAPIError("x", "name", "mac"), ProxyState.WRONG_KEY),
        (EncryptionErrorAPIError("x"), ProxyState.UNREACHABLE),
        (RequiresEncryptionAPIError("x"), ProxyState.NEEDS_KEY),
        (EncryptionPlaintextAPIError("x"), ProxyState.NOT_ENCRYPTED),
        (InvalidAuthAPIError("x"), ProxyState.WRONG_PASSWORD),
        (EncryptionHelloAPIError("x"), ProxyState.FULL),
        (SocketClosedAPIError("EOF received"), ProxyState.FULL),
        (BadMACAddressAPIError("x", "name", "mac"), ProxyState.WRONG_NODE),
        (APIConnectionError("Incompatible API version (9.0)."), ProxyState.INCOMPATIBLE),
        (SocketAPIError("refused"), ProxyState.UNREACHABLE),
        (ResolveTimeoutAPIError("x"), ProxyState.UNREACHABLE),
        (PingFailedAPIError("x"), ProxyState.UNREACHABLE),
        (TimeoutAPIError("x"), ProxyState.UNREACHABLE),
        (TimeoutError(), ProxyState.UNREACHABLE),
        (ProtocolAPIError("x"), ProxyState.UNREACHABLE),
        (HandshakeAPIError("x"), ProxyState.UNREACHABLE),
        (OSError(113, "No route to host"), ProxyState.UNREACHABLE),
    ],
)
def test_failure_table(error, state):
    """docs/protocol/esphome-proxy.md#failures: each failure has its state."""
    assert diagnose(error).state is state


def test_unprovisioned_node_is_not_a_wrong_key():
    assert diagnose(InvalidEncryptionKeyAPIError("x"), unprovisioned=True).state is ProxyState.NOT_ENCRYPTED


def test_the_advice_on_a_refused_key_also_fits_a_node_that_has_none():
    """Without mDNS it cannot be told from a wrong key: the sentence covers both."""
    advice = diagnose(InvalidEncryptionKeyAPIError("x", "name", "mac")).advice
    assert "copy the key from the node's YAML" in advice
    assert "if the YAML has no key, add ours there" in advice


def test_the_systems_error_is_shown_and_the_nodes_is_not():
    """The operating system's error is shown. An error's own text may be the node's, and is not."""
    error = SocketAPIError("\x1b[31mhostile")
    error.__cause__ = OSError(111, "Connection refused")
    assert diagnose(error).cause == "the node cannot be reached: Connection refused"
    assert "hostile" not in diagnose(APIConnectionError("hostile")).cause


def test_every_state_has_its_sentence():
    assert set(STATES) == set(ProxyState)
    for state, diagnosis in STATES.items():
        assert diagnosis.cause
        assert bool(diagnosis.advice) == (state not in {ProxyState.CONNECTING, ProxyState.LIVE})


def test_garbage_is_told_from_a_demand_for_encryption():
    assert broke_protocol(ProtocolAPIError("x"))
    assert broke_protocol(EncryptionErrorAPIError("x"))
    assert not broke_protocol(RequiresEncryptionAPIError("x"))
    assert not broke_protocol(InvalidEncryptionKeyAPIError("x"))
    assert not broke_protocol(None)
