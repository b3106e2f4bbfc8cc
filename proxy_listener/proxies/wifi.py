"""How well a proxy's own Wi-Fi receives: the node's entities in, dBm out.

::

    ListEntitiesRequest -> sensor: key 7, device class signal_strength, unit dBm, category diagnostic
                           ... other entities ... done
    SubscribeStatesRequest -> state: key 7, -58.0         now, and every minute

ESPHome has no other word for it: who configured a ``wifi_signal`` sensor has it, others do not. The rule of this file:
one number is kept of one sensor; what else a node lists or sends is passed over, however much it is.
"""

from collections.abc import Callable
from typing import Any

from aioesphomeapi import api_pb2
from aioesphomeapi.connection import APIConnection

_API: Any = api_pb2
"""Protobuf's classes carry no types."""
_DIAGNOSTIC = 2
"""``EntityCategory``. The ``ble_rssi`` sensor of some device has the same class and unit, and no category."""
_WEAKEST = -127.0
"""dBm; what an ESP32 can report."""


class WifiSignal:
    """The reception of one node over one session; ``rssi`` is None while it is not known."""

    def __init__(self, connection: APIConnection) -> None:
        self.rssi: int | None = None
        self._connection = connection
        self._key: int | None = None
        self._deaf: Callable[[], None] | None = connection.send_message_callback_response(
            _API.ListEntitiesRequest(), self._listed, (_API.ListEntitiesSensorResponse, _API.ListEntitiesDoneResponse)
        )

    def _listed(self, message: Any) -> None:
        """One entity, or the end of them."""
        if type(message) is _API.ListEntitiesDoneResponse:
            self._listen()
        elif (
            self._key is None
            and message.device_class == "signal_strength"
            and message.unit_of_measurement == "dBm"
            and message.entity_category == _DIAGNOSTIC
        ):
            self._key = message.key

    def _listen(self) -> None:
        if self._deaf is not None:
            self._deaf()
            self._deaf = None
            if self._key is not None:
                self._connection.send_message_callback_response(
                    _API.SubscribeStatesRequest(), self._told, (_API.SensorStateResponse,)
                )

    def _told(self, message: Any) -> None:
        if message.key == self._key:
            known = not message.missing_state and _WEAKEST <= message.state <= 0.0
            self.rssi = round(message.state) if known else None
