"""The native API's messages: aioesphomeapi's generated classes, and their numbers on the wire.

Protobuf's generated module is untyped and used through ``api`` only, which is ``Any``; every message is a ``Message``.
"""

from typing import Any

from aioesphomeapi import api_pb2
from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO
from google.protobuf.message import DecodeError, Message

api: Any = api_pb2

NUMBERS = {kind: number for number, kind in MESSAGE_TYPE_TO_PROTO.items()}
KNOWN = frozenset(MESSAGE_TYPE_TO_PROTO)


def parse(number: int, payload: bytes) -> Message | None:
    """The message, or None where the number is unknown or the payload is no such message."""
    kind = MESSAGE_TYPE_TO_PROTO.get(number)
    if kind is None:
        return None
    message: Message = kind()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        return None
    return message
