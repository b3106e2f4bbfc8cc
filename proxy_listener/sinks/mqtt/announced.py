"""What a device's discovery is to say: what its product is known to send, and what the device was heard to send.

A device's status, what it sent in this run and the note of earlier runs go in; quantities, kinds of events and the
lifetimes of values go out.
"""

from collections.abc import Mapping

import attrs

from proxy_listener.model.events import EventKind, kind_of
from proxy_listener.model.quantities import Quantity, quantity_of
from proxy_listener.model.status import DeviceStatus
from proxy_listener.sinks.mqtt.freshness import intervals_of, lifetime
from proxy_listener.sinks.mqtt.records import Record


@attrs.define
class Sent:
    """What a device sent in this run beyond what its discovery said."""

    quantities: dict[str, Quantity] = attrs.field(factory=dict)
    events: dict[str, list[str]] = attrs.field(factory=dict)


@attrs.frozen
class Announced:
    """What a device's discovery says: quantities and kinds of events by name, and the lifetimes of values."""

    quantities: Mapping[str, Quantity] = attrs.field(factory=dict)
    events: Mapping[str, EventKind] = attrs.field(factory=dict)
    lifetimes: Mapping[str, int] = attrs.field(factory=dict)


def to_announce(device: DeviceStatus, sent: Sent, record: Record) -> Announced:
    """What the device's product is known to send, what the device sent in this run, and the values that it has now.

    Where it sends another form of a quantity than its product is known for, its own counts.
    """
    product = device.product
    known = (*product.quantities, *product.read_quantities) if product else ()
    live = {name: quantity_of(name, value) for name, (value, _) in device.values.items()}
    quantities = {quantity.name: quantity for quantity in known} | sent.quantities | live
    events = {kind.name: kind for kind in product.events} if product else {}
    for name, types in record.events.items():
        kind = events.get(name) or kind_of(name)
        events[name] = attrs.evolve(kind, types=tuple(dict.fromkeys([*kind.types, *types])))
    lasting = {name: lifetime(quantity, intervals_of(device)) for name, quantity in quantities.items()}
    return Announced(quantities, events, {name: seconds for name, seconds in lasting.items() if seconds is not None})
