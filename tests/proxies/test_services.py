"""What is taken in of the services that a proxy lists, and where it ends."""

import pytest
from aioesphomeapi import api_pb2

from proxy_listener.proxies.handle_cache import HANDLES
from proxy_listener.proxies.services import ATTRIBUTES, SERVICES_BYTES, ServiceList

PLANT, OTHER = 0xC47C8D6A0001, 0xC47C8D6A0002


def listed(*services, address=PLANT):
    """A message with services; each is the numbers of descriptors of its characteristics."""
    message = api_pb2.BluetoothGATTGetServicesResponse(address=address)
    for number, characteristics in enumerate(services):
        service = message.services.add(handle=number, uuid=[number, 1])
        for at, descriptors in enumerate(characteristics):
            characteristic = service.characteristics.add(handle=100 * number + at, uuid=[number, 100 + at])
            for _ in range(descriptors):
                characteristic.descriptors.add(handle=1, uuid=[5, 5])
    return message


def done(address=PLANT):
    return api_pb2.BluetoothGATTGetServicesDoneResponse(address=address)


def test_a_list_in_two_messages():
    """Handles of both messages are in the table; the list is over with the last message, and not before."""
    found = ServiceList(PLANT)
    parts = listed((0, 1)), listed((), (2,)), done()
    assert [found.over(message) for message in parts] == [False, False, True]
    assert sorted(found.table.values()) == [0, 1, 100]
    assert (found.excess, found.lost, found.error) == ("", False, None)


def test_another_device_is_ignored():
    """Answers about another address neither add to the list nor end it."""
    found = ServiceList(PLANT)
    assert not found.over(listed((0,), address=OTHER))
    assert not found.over(done(OTHER))
    assert found.table == {}


@pytest.mark.parametrize(
    ("message", "lost", "error"),
    [
        (api_pb2.BluetoothGATTErrorResponse(address=PLANT, error=-1), False, -1),
        (api_pb2.BluetoothDeviceConnectionResponse(address=PLANT, error=8), True, None),
    ],
)
def test_what_else_ends_it(message, lost, error):
    """A GATT error is kept as its code; the end of the link is told apart from it."""
    found = ServiceList(PLANT)
    assert found.over(message)
    assert (found.lost, found.error) == (lost, error)


@pytest.mark.parametrize(
    "message",
    [listed(*[()] * 200), listed([0] * 199), listed([198])],
    ids=["services", "characteristics", "descriptors"],
)
def test_a_list_without_end(message):
    """Endless services, characteristics or descriptors end the list after a few messages, with a small table."""
    found = ServiceList(PLANT)
    taken = next(count for count in range(1, 100) if found.over(message))
    assert taken == ATTRIBUTES // 200 + 1
    assert found.excess == f"the proxy listed more than {ATTRIBUTES} services, characteristics and descriptors"
    assert len(found.table) <= HANDLES


def test_empty_messages_without_end():
    """Messages without a service are counted by their bytes."""
    found, message = ServiceList(PLANT), listed()
    taken = next(count for count in range(1, SERVICES_BYTES) if found.over(message))
    assert taken == SERVICES_BYTES // message.ByteSize() + 1
    assert found.excess == f"the proxy listed services in more than {SERVICES_BYTES} bytes"
