"""Payload bytes of advertisements -> measurements. Pure: no clock, no network, no log.

THE TABLE of formats: UUID of the service data, or company of the manufacturer data -> format. What recognises an
advertisement as ours, what explains a frame, and the list of formats in the documentation derive from it.
"""

from collections.abc import Mapping
from typing import Any

from proxy_listener.formats import atc, bthome, qingping, xiaomi
from proxy_listener.formats.format import Format
from proxy_listener.formats.xiaomi.mibeacon import UUID as MAIN_UUID
from proxy_listener.model.advertisement import COMPANY, company_prefilter, prefilter, rare_byte
from proxy_listener.model.models import Model

__all__ = ["FORMATS", "MAIN_UUID", "PRODUCTS", "RARE", "find_company", "find_ours", "model_named"]

FORMATS: Mapping[int, Format[Any]] = {**xiaomi.FORMATS, atc.UUID: atc.FORMAT, **bthome.FORMATS, **qingping.FORMATS}

PRODUCTS: tuple[Model, ...] = (*xiaomi.PRODUCTS, *atc.PRODUCTS, *bthome.PRODUCTS, *qingping.PRODUCTS)
"""Every product that one of the formats knows."""

find_ours = prefilter(key for key in FORMATS if key < COMPANY)
"""Whether an advertising payload holds service data of one of the formats; None where it does not."""

_COMPANIES = [key for key in FORMATS if key >= COMPANY]
RARE, find_company = rare_byte(_COMPANIES), company_prefilter(_COMPANIES)
"""The same for manufacturer data, after a look for one byte. One company only: with a second one a foreign
advertisement costs a quarter more (docs/adding.md#a-format)."""

_BY_NAME = {model.name: model for model in PRODUCTS}


def model_named(name: str) -> Model | None:
    """The model that calls itself so; of a name such as ``0x5A5A`` the unknown product of that id."""
    return _BY_NAME.get(name) or xiaomi.unknown_product(name) or qingping.unknown_product(name)
