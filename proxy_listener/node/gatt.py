"""GATT requests of the native API -> operations on a link, and a peripheral's services -> messages.

Pure apart from the operations on the link: slots and sessions are not known here.
"""

from collections.abc import Sequence

from google.protobuf.message import Message

from proxy_listener.node.air import Characteristic, Descriptor, GattService, Link
from proxy_listener.node.messages import api

SERVICES_LIMIT = 1_360
"""Bytes of services in one message: the firmware keeps each within one TCP segment."""

_BASE = 0x0000_0000_0000_1000_8000_0080_5F9B_34FB
"""The SIG's base UUID, into which 16 bits go at the top (Bluetooth Core, volume 3, part B, 2.5.1)."""


def services_messages(address: int, services: Sequence[GattService], short: bool) -> list[Message]:
    """The services in as many messages as the limit makes, then Done. ``short``: 16-bit UUIDs as such (API 1.12)."""
    messages: list[Message] = []
    current = api.BluetoothGATTGetServicesResponse(address=address)
    for service in services:
        entry = _service(service, short)
        if current.services and current.ByteSize() + entry.ByteSize() > SERVICES_LIMIT:
            messages.append(current)
            current = api.BluetoothGATTGetServicesResponse(address=address)
        current.services.append(entry)
    if current.services:
        messages.append(current)
    messages.append(api.BluetoothGATTGetServicesDoneResponse(address=address))
    return messages


async def perform(request: Message, link: Link) -> Sequence[Message]:
    """Carry out a read or write request; the answer."""
    asked: api.BluetoothGATTReadRequest = request
    where = {"address": asked.address, "handle": asked.handle}
    if isinstance(request, api.BluetoothGATTReadRequest | api.BluetoothGATTReadDescriptorRequest):
        return [api.BluetoothGATTReadResponse(**where, data=await link.read(asked.handle))]
    response = getattr(asked, "response", True)
    await link.write(asked.handle, asked.data, response)
    return [api.BluetoothGATTWriteResponse(**where)]


def _service(service: GattService, short: bool) -> Message:
    message = api.BluetoothGATTService(handle=service.handle, **_uuid(service.uuid, short))
    for characteristic in service.characteristics:
        message.characteristics.append(_characteristic(characteristic, short))
    result: Message = message
    return result


def _characteristic(characteristic: Characteristic, short: bool) -> Message:
    message = api.BluetoothGATTCharacteristic(
        handle=characteristic.handle, properties=characteristic.properties, **_uuid(characteristic.uuid, short)
    )
    for descriptor in characteristic.descriptors:
        message.descriptors.append(_descriptor(descriptor, short))
    result: Message = message
    return result


def _descriptor(descriptor: Descriptor, short: bool) -> Message:
    message: Message = api.BluetoothGATTDescriptor(handle=descriptor.handle, **_uuid(descriptor.uuid, short))
    return message


def _uuid(uuid: int, short: bool) -> dict[str, int | list[int]]:
    if uuid > 0xFFFF:
        full = uuid
    elif short:
        return {"short_uuid": uuid}
    else:
        full = uuid << 96 | _BASE
    return {"uuid": [full >> 64, full & 0xFFFF_FFFF_FFFF_FFFF]}
