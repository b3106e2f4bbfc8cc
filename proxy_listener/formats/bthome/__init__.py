"""BTHome, versions 1 and 2: Shelly's BLU devices, b-parasite, custom firmware, and what people build themselves."""

from proxy_listener.formats.bthome.frames import FORMATS
from proxy_listener.formats.bthome.models import PRODUCTS

__all__ = ["FORMATS", "PRODUCTS"]
