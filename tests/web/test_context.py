"""What handlers share: places of streams, and what they read from the journal."""

import contextlib

import pytest
from aiohttp import web
from support.made_status import MAC, reading, view

from proxy_listener.model.reading import Event
from proxy_listener.web import Actions
from proxy_listener.web.context import Places, WebContext, parse_address


def test_a_place_is_given_back_after_an_error():
    """A stream that fails does not use up its place."""
    places, taken = Places(1), []
    for _ in range(3):
        with contextlib.suppress(ConnectionError), places:
            taken.append(places.taken)
            raise ConnectionError
    assert taken == [1, 1, 1]
    assert places.taken == 0


def test_there_are_no_more_places_than_the_limit():
    """One more is refused and takes none."""
    places = Places(1)
    with places, pytest.raises(web.HTTPServiceUnavailable), places:
        pass
    assert places.taken == 0


async def test_last_events_are_by_device(journal):
    """The newest reading that has an event; devices without events are missing."""
    for time, events in ((1.0, (Event("button", "press"),)), (2.0, (Event("lock", "unlock"),)), (3.0, ())):
        journal.append(reading(time=time, events=events))
    journal.append(reading(mac=MAC + 1, time=4.0))
    await journal.flush()
    found = await WebContext(view(), journal, Actions()).last_events()
    assert {mac: one.events for mac, one in found.items()} == {MAC: (Event("lock", "unlock"),)}


@pytest.mark.parametrize("given", ["", "zz", "A4:C1:38:02:83", "A4:C1:38:02:83:F4:00", "²²:00:00:00:00:00"])
def test_what_is_not_a_mac_is_a_bad_request(given):
    """An error of the client, not of the service."""
    with pytest.raises(web.HTTPBadRequest):
        parse_address(given)
