"""When a lost connection is tried again, and what the log says of it."""

import structlog
from aiomqtt import ProtocolVersion

from proxy_listener.sinks.mqtt import Settings
from proxy_listener.sinks.mqtt.client import ENDED, Lost
from proxy_listener.sinks.mqtt.outages import LONGEST_BACKOFF, RETRY, SHORT, STEADY, Outages


def test_a_broker_that_is_away_is_asked_again_and_again_at_the_same_pace() -> None:
    """The thousandth attempt comes as soon as the first."""
    outages = Outages(Settings())
    waits = [outages.lost(Lost("Connection refused"), 0.0) for _ in range(1000)]
    assert max(waits) <= 1.2 * RETRY
    assert min(waits) >= 0.8 * RETRY


def test_a_broker_that_refuses_is_asked_ever_more_rarely() -> None:
    """Also one that ends each connection at once, as mosquitto does where its ACL forbids what is published."""
    for lost in (Lost("Not authorized", refused=True), Lost(ENDED)):
        outages = Outages(Settings())
        waits = [outages.lost(lost, 0.1) for _ in range(20)]
        assert waits[0] <= 1.2 * RETRY
        assert waits[-1] >= 0.8 * LONGEST_BACKOFF
        assert outages.lost(Lost(ENDED), SHORT) <= 1.2 * RETRY


def test_each_cause_is_logged_once_until_a_connection_lasts() -> None:
    """And so is the return."""
    outages = Outages(Settings())
    with structlog.testing.capture_logs() as logs:
        for lasted in (0.0, 1.0, STEADY, 1.0):
            outages.connected(ProtocolVersion.V5, 0)
            outages.lost(Lost("broken"), lasted)
    assert [entry["log_level"] for entry in logs] == ["info", "warning", "info", "warning", "info"]
