"""The formats of Xiaomi devices: MiBeacon, the Mi scales, HHCCJCY10."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from proxy_listener.formats.format import Format
from proxy_listener.formats.xiaomi import hhcc, mibeacon, miscale
from proxy_listener.formats.xiaomi.mibeacon_drawing import draw
from proxy_listener.formats.xiaomi.models import PRODUCTS, model_of
from proxy_listener.formats.xiaomi.objects import read_objects
from proxy_listener.model.advertisement import COMPANY, Address
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome

__all__ = ["FORMATS", "MIBEACON", "PRODUCTS", "unknown_product"]

XIAOMI = COMPANY | 0x038F
"""Some locks send their frames as manufacturer data: docs/protocol/mibeacon.md#manufacturer-data."""


def _of_known_product(data: bytes) -> bool:
    """Whether bytes that nothing marks as MiBeacon have the id of a product that is known."""
    return len(data) > 3 and model_of(data[2] | data[3] << 8).known


def _parse_manufacturer_data(data: bytes, address: Address | None) -> mibeacon.MibeaconFrame:
    """Manufacturer data -> its frame. Xiaomi's phones and others put anything else in theirs, so an unknown product is
    NOT_A_FRAME.
    """
    if len(data) < 5 or not _of_known_product(data):
        raise DecodeError(Outcome.NOT_A_FRAME, "manufacturer data of another kind")
    return mibeacon.parse_frame(data, address)


MIBEACON = Format(
    "MiBeacon",
    mibeacon.parse_frame,
    read_objects,
    draw,
    _of_known_product,
    mibeacon.open_frame,
)

IN_MANUFACTURER_DATA = attrs.evolve(
    MIBEACON,
    name="MiBeacon in manufacturer data",
    parse=_parse_manufacturer_data,
    fits=_of_known_product,
)

FORMATS: Mapping[int, Format[Any]] = {
    mibeacon.UUID: MIBEACON,
    XIAOMI: IN_MANUFACTURER_DATA,
    miscale.WEIGHT_SCALE: miscale.FORMAT_V1,
    miscale.BODY_COMPOSITION: miscale.FORMAT_V2,
    hhcc.UUID: hhcc.FORMAT,
}
"""UUID of the service data, or company of the manufacturer data -> format."""

_UNKNOWN_PRODUCT = re.compile("0x[0-9A-F]{4}")


def unknown_product(name: str) -> Model | None:
    """The product that has this id as its name, such as ``0x5A5A``, because its id is in no row."""
    return model_of(int(name, 16)) if _UNKNOWN_PRODUCT.fullmatch(name) else None
