"""Requests of clients -> what the node does and answers.

Messages of authenticated sessions come in. Invariant, as in the firmware: answers about the node go to the client that
asked; answers about connections go to the stream holder, whichever client asked.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import structlog
from google.protobuf.message import Message

from proxy_listener.model.advertisement import mac_text
from proxy_listener.node.firmware import Firmware, Login
from proxy_listener.node.gatt import perform
from proxy_listener.node.links import Links, Spawn
from proxy_listener.node.messages import api
from proxy_listener.node.scanner import Scanner
from proxy_listener.node.session import NodeSession
from proxy_listener.node.settings import NodeSettings
from proxy_listener.node.stream import NodeStream

log = structlog.get_logger()

_WIFI_SIGNAL = 0x57494649
"""The key of the only entity that a node may have. Firmware derives it from the entity's name; here it is ASCII."""
_MEASUREMENT, _DIAGNOSTIC = 1, 2
"""``SensorStateClass``, ``EntityCategory``."""


class Requests:
    """The requests of all sessions of one node. ``teardown``: seconds from the holder's end to its links' end."""

    def __init__(
        self,
        settings: NodeSettings,
        firmware: Firmware,
        stream: NodeStream,
        scanner: Scanner,
        links: Links,
        spawn: Spawn,
        teardown: float,
    ) -> None:
        self._settings = settings
        self._firmware = firmware
        self._stream = stream
        self._scanner = scanner
        self._links = links
        self._spawn = spawn
        self._teardown = teardown

    def serve(self, session: NodeSession, message: Message) -> None:
        """Handle one message of an authenticated session. Unknown ones are ignored, as in the firmware."""
        handler = self._HANDLERS.get(type(message))
        if handler is not None:
            handler(self, session, message)

    def leave(self, session: NodeSession) -> None:
        """The session unsubscribes or ended. If it held the stream, the links are closed."""
        if self._stream.leave(session):
            self._spawn(self._tear_down())

    async def _tear_down(self) -> None:
        await asyncio.sleep(self._teardown)
        if self._stream.holder is None:
            self._links.drop_all()

    def _device_info(self, session: NodeSession, _message: Message) -> None:
        settings, firmware = self._settings, self._firmware
        session.send(
            api.DeviceInfoResponse(
                uses_password=settings.password is not None and firmware.login is not Login.NEVER,
                name=settings.name,
                friendly_name=settings.friendly_name,
                mac_address=mac_text(settings.mac),
                bluetooth_mac_address=mac_text(settings.bluetooth_mac) if firmware.hello_mac else "",
                esphome_version=firmware.version,
                compilation_time="Nov  1 2026, 12:00:00",
                model="esp32dev",
                manufacturer="Espressif",
                suggested_area=settings.area,
                has_deep_sleep=settings.deep_sleep,
                legacy_bluetooth_proxy_version=firmware.legacy_version,
                bluetooth_proxy_feature_flags=int(firmware.flags),
                api_encryption_supported=settings.noise_psk is not None or firmware.provisionable,
                api_outgoing_connection_supported=settings.dial is not None,
                api_encryption_provisionable=settings.noise_psk is None and firmware.provisionable,
            )
        )

    def _capabilities(self, session: NodeSession, _message: Message) -> None:
        if self._firmware.capable:
            answer = api.DeviceCapabilitiesResponse()
            answer.bluetooth_proxy.feature_flags = int(self._firmware.flags)
            answer.bluetooth_proxy.mac_address = mac_text(self._settings.bluetooth_mac)
            session.send(answer)

    def _entities(self, session: NodeSession, _message: Message) -> None:
        if self._settings.wifi_rssi is not None:
            session.send(
                api.ListEntitiesSensorResponse(
                    object_id="wifi_signal",
                    key=_WIFI_SIGNAL,
                    name="WiFi signal",
                    unit_of_measurement="dBm",
                    device_class="signal_strength",
                    state_class=_MEASUREMENT,
                    entity_category=_DIAGNOSTIC,
                )
            )
        session.send(api.ListEntitiesDoneResponse())

    def _states(self, session: NodeSession, _message: Message) -> None:
        if self._settings.wifi_rssi is not None:
            session.send(api.SensorStateResponse(key=_WIFI_SIGNAL, state=self._settings.wifi_rssi))

    def _subscribe(self, session: NodeSession, _message: Message) -> None:
        # The request's flag for raw advertisements is not read: there are no others.
        if self._stream.subscribe(session):
            if self._firmware.tells_state:
                session.send(self._scanner.report())
        else:
            log.debug("second subscriber is refused", node=self._settings.name)

    def _unsubscribe(self, session: NodeSession, _message: Message) -> None:
        self.leave(session)

    def _connections_free(self, session: NodeSession, _message: Message) -> None:
        if not self._silent():
            session.send(self._links.answer())

    def _scanner_mode(self, _session: NodeSession, message: Message) -> None:
        request: api.BluetoothScannerSetModeRequest = message
        if self._firmware.tells_state:
            self._spawn(self._scanner.change(request.mode))

    def _device(self, _session: NodeSession, message: Message) -> None:
        if self._silent():
            return
        request: api.BluetoothDeviceRequest = message
        address, kind = request.address, request.request_type
        kinds = api.BluetoothDeviceRequestType
        connects = {
            kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT_V3_WITH_CACHE,
            kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT_V3_WITHOUT_CACHE,
        }
        if kind in connects or (kind == kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT and self._firmware.seeks_untyped):
            cached = kind == kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT_V3_WITH_CACHE
            address_type = request.address_type if request.has_address_type else None
            self._links.connect(address, address_type, cached=cached)
            if self._stream.holder is None:
                self._spawn(self._tear_down())
        elif kind == kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_DISCONNECT:
            self._links.disconnect(address)
        elif kind == kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_PAIR:
            if self._firmware.tells_pairing or address in self._links.allocated:
                self._stream.send(api.BluetoothDevicePairingResponse(address=address, paired=False, error=-1))
        elif kind == kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_UNPAIR:
            if self._firmware.tells_pairing:
                self._stream.send(api.BluetoothDeviceUnpairingResponse(address=address, success=True))
            else:
                self._stream.send(api.BluetoothDevicePairingResponse(address=address, paired=True))
        elif kind == kinds.BLUETOOTH_DEVICE_REQUEST_TYPE_CLEAR_CACHE:
            self._stream.send(api.BluetoothDeviceClearCacheResponse(address=address, success=True))
        else:
            self._stream.send(api.BluetoothDeviceConnectionResponse(address=address))

    def _services(self, _session: NodeSession, message: Message) -> None:
        request: api.BluetoothGATTGetServicesRequest = message
        if not self._silent():
            self._links.services(request.address)

    def _gatt(self, _session: NodeSession, message: Message) -> None:
        request: api.BluetoothGATTReadRequest = message
        if not self._silent():
            self._links.operate(request.address, request.handle, partial(perform, message))

    def _notify(self, _session: NodeSession, message: Message) -> None:
        request: api.BluetoothGATTNotifyRequest = message
        if not self._silent():
            self._links.notify(request.address, request.handle, wanted=request.enable)

    def _connection_params(self, _session: NodeSession, message: Message) -> None:
        if self._silent() or not self._firmware.sets_params:
            return
        request: api.BluetoothSetConnectionParamsRequest = message
        error = 0 if request.address in self._links.allocated else -1
        self._stream.send(api.BluetoothSetConnectionParamsResponse(address=request.address, error=error))

    def _set_key(self, session: NodeSession, _message: Message) -> None:
        # The key is in the YAML, which no client changes. Firmware built without encryption does not know this request.
        if self._settings.noise_psk is not None or self._firmware.provisionable:
            session.send(api.NoiseEncryptionSetKeyResponse(success=False))

    def _silent(self) -> bool:
        """Whether requests about connections are not answered."""
        return not self._firmware.active and self._firmware.silent_when_passive

    _HANDLERS: ClassVar[dict[type[Message], Callable[["Requests", NodeSession, Message], None]]] = {
        api.DeviceInfoRequest: _device_info,
        api.DeviceCapabilitiesRequest: _capabilities,
        api.ListEntitiesRequest: _entities,
        api.SubscribeStatesRequest: _states,
        api.SubscribeBluetoothLEAdvertisementsRequest: _subscribe,
        api.UnsubscribeBluetoothLEAdvertisementsRequest: _unsubscribe,
        api.SubscribeBluetoothConnectionsFreeRequest: _connections_free,
        api.BluetoothScannerSetModeRequest: _scanner_mode,
        api.BluetoothDeviceRequest: _device,
        api.BluetoothGATTGetServicesRequest: _services,
        api.BluetoothGATTReadRequest: _gatt,
        api.BluetoothGATTWriteRequest: _gatt,
        api.BluetoothGATTReadDescriptorRequest: _gatt,
        api.BluetoothGATTWriteDescriptorRequest: _gatt,
        api.BluetoothGATTNotifyRequest: _notify,
        api.BluetoothSetConnectionParamsRequest: _connection_params,
        api.NoiseEncryptionSetKeyRequest: _set_key,
    }
