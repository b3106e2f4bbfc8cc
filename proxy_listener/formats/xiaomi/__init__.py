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
from proxy_listener.model.advertisement import COMPANY
from proxy_listener.model.models import Model

__all__ = ["FORMATS", "MIBEACON", "PRODUCTS", "unknown_product"]

MIBEACON = Format(
    "MiBeacon",
    mibeacon.parse_frame,
    read_objects,
    draw,
    mibeacon.of_known_product,
    mibeacon.open_frame,
)

IN_MANUFACTURER_DATA = attrs.evolve(
    MIBEACON,
    name="MiBeacon in manufacturer data",
    parse=mibeacon.parse_manufacturer_data,
    fits=mibeacon.of_known_product,
)

FORMATS: Mapping[int, Format[Any]] = {
    mibeacon.UUID: MIBEACON,
    COMPANY | mibeacon.COMPANY: IN_MANUFACTURER_DATA,
    miscale.WEIGHT_SCALE: miscale.FORMAT_V1,
    miscale.BODY_COMPOSITION: miscale.FORMAT_V2,
    hhcc.UUID: hhcc.FORMAT,
}
"""UUID of the service data, or company of the manufacturer data -> format."""

_UNKNOWN_PRODUCT = re.compile("0x[0-9A-F]{4}")


def unknown_product(name: str) -> Model | None:
    """The product that has this id as its name, such as ``0x5A5A``, because its id is in no row."""
    return model_of(int(name, 16)) if _UNKNOWN_PRODUCT.fullmatch(name) else None
