"""Locks of the MIoT generation: every code of every family, and what is not listed."""

import pytest

from proxy_listener.formats.layout import Implausible
from proxy_listener.formats.xiaomi.miot_locks import LOCKS, Family, rows
from proxy_listener.formats.xiaomi.models import MODELS
from proxy_listener.model.events import EVENTS
from proxy_listener.model.quantities import QUANTITIES

BY_NAME = {model.name: model for model in MODELS.values()}


def said(row, data):
    """What an object says; None where it is implausible."""
    try:
        values, events, _ = row.read(b"\x00\x00" + bytes((len(data),)) + data)
    except Implausible:
        return None
    return values, events


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_every_code_gives_an_announced_event_and_known_quantities(name):
    """Home Assistant refuses an event of a type that was not announced, so any byte must give a listed one."""
    announced = {kind.name for kind in BY_NAME[name].events}
    for row in LOCKS[name].values():
        for length in row.lengths:
            for code in range(256):
                for at in range(length):
                    data = bytes(at) + bytes((code,)) + bytes(length - at - 1)
                    values, events = said(row, data) or ({}, ())
                    assert set(values) <= set(QUANTITIES)
                    for event in events:
                        assert event.type in EVENTS[event.event].types
                        assert event.event in announced


@pytest.mark.parametrize(
    ("position", "kind"), [(1, "unlock_inside_the_door"), (2, "unlock_outside_the_door"), (3, "unlocked")]
)
def test_an_unlocking_says_its_side_where_the_lock_tells_it(position, kind):
    """Position 3 is that the lock does not tell it."""
    row = rows(Family(("action", "method", "key", "position")))[0x4A14]
    values, (event,) = said(row, bytes((2, 2, 7, 0, position)))
    assert values == {"lock": True, "lock_method": "fingerprint", "key_id": "key id 7"}
    assert event.type == kind


def test_an_action_that_is_not_listed_is_no_state_of_the_lock():
    """A lock also reports that a person was added; it is neither open nor closed by that."""
    assert said(LOCKS["loock.lock.h01lyk"][0x4A14], bytes.fromhex("010a0a0000e32b8463")) is None


def test_a_method_that_is_not_listed_does_not_hide_the_lock():
    """The state is told, the method by its number."""
    values, _ = said(LOCKS["XMZNMS09LM"][0x4A14], bytes.fromhex("0000e32b8463026301"))
    assert (values["lock"], values["lock_method"]) == (True, "method 99")


@pytest.mark.parametrize(
    ("name", "data"), [("XMZNMS09LM", "65598463ff"), ("XMZNMS09LM", "00"), ("XMZNMS03OD", "ff00000000")]
)
def test_no_error_is_made_of_a_code_that_says_nothing(name, data):
    """All bits set is no value, and 0 is that nothing is wrong."""
    assert said(LOCKS[name][0x4A07], bytes.fromhex(data)) is None
