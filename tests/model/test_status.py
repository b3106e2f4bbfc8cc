"""The status values, and which of their fields documents show."""

import attrs
from support.made_status import NOW, device

from proxy_listener.model.status import DeviceStatus
from proxy_listener.web.documents import device_document


def test_internal_fields_are_in_no_document():
    """A device's status carries what its product is known to send, for sinks; no document of the API shows it."""
    status = device()
    assert status.product.name == status.model
    document = device_document(status, NOW)
    fields = {field.name for field in attrs.fields(DeviceStatus)}
    assert fields - document.keys() == {"product", "read_interval", "advertises"}
    assert "product=" not in repr(status)
