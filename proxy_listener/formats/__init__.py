"""Payload bytes of advertisements -> measurements. Pure: no clock, no network, no log.

THE TABLE of formats: UUID of the service data -> format. What recognises an advertisement as ours, what explains a
frame, and the list of formats in the documentation derive from it.
"""

from collections.abc import Mapping
from typing import Any

from proxy_listener.formats import xiaomi
from proxy_listener.formats.format import Format
from proxy_listener.formats.xiaomi.mibeacon import UUID as MAIN_UUID
from proxy_listener.model.advertisement import prefilter
from proxy_listener.model.models import Model

__all__ = ["FORMATS", "MAIN_UUID", "PRODUCTS", "find_ours", "model_named"]

FORMATS: Mapping[int, Format[Any]] = {**xiaomi.FORMATS}

PRODUCTS: tuple[Model, ...] = xiaomi.PRODUCTS
"""Every product that one of the formats knows."""

find_ours = prefilter(FORMATS)
"""Whether an advertising payload holds service data of one of the formats; None where it does not."""

_BY_NAME = {model.name: model for model in PRODUCTS}


def model_named(name: str) -> Model | None:
    """The model that calls itself so; of a name such as ``0x5A5A`` the unknown MiBeacon product of that id."""
    return _BY_NAME.get(name) or xiaomi.unknown_product(name)
