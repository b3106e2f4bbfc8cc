"""Home Assistant's way from a proxy to a value, without Home Assistant: bleak-esphome, habluetooth, xiaomi-ble.

In: the proxies and devices as JSON on standard input's first line. Out: at SIGTERM, one line of JSON with what was
received and which temperatures were seen of which device. What Home Assistant itself adds to it (the matching of
integrations, coordinators, entities, the recorder) is left out, in its favour.
"""

import asyncio
import json
import logging
import signal
import sys
from typing import Any

from aioesphomeapi import APIClient
from bleak_esphome import connect_scanner
from bluetooth_adapters import BluetoothAdapters
from counting import AT_ONCE, client
from habluetooth import BluetoothManager, BluetoothServiceInfoBleak, set_manager
from xiaomi_ble import XiaomiBluetoothDeviceData

MIBEACON = "0000fe95-0000-1000-8000-00805f9b34fb"


class NoAdapters(BluetoothAdapters):
    """A machine without Bluetooth of its own."""

    @property
    def adapters(self) -> dict[str, Any]:
        return {}

    @property
    def default_adapter(self) -> str:
        return ""


class Manager(BluetoothManager):
    """Gives each advertisement that is new to the parser of its device, as the integration's coordinator does."""

    def __init__(self, keys: dict[str, bytes | None]) -> None:
        super().__init__(NoAdapters())
        self.seen: dict[str, set[float]] = {}
        self._keys = keys
        self._parsers: dict[str, XiaomiBluetoothDeviceData] = {}

    def _discover_service_info(self, service_info: BluetoothServiceInfoBleak) -> None:
        if MIBEACON not in service_info.service_data:
            return
        address = service_info.address
        parser = self._parsers.get(address)
        if parser is None:
            parser = self._parsers[address] = XiaomiBluetoothDeviceData(bindkey=self._keys.get(address))
        update = parser.update(service_info)
        for key, value in update.entity_values.items():
            if key.key == "temperature":
                self.seen.setdefault(address, set()).add(value.native_value)


async def listen(manager: Manager, one: APIClient) -> None:
    """What Home Assistant's ESPHome integration does with a proxy once it is connected."""
    data = connect_scanner(one, await one.device_info(), True)
    assert data.scanner is not None
    data.scanner.async_setup()
    manager.async_register_scanner(data.scanner)


async def main() -> None:
    logging.disable(logging.CRITICAL)
    asked = json.loads(sys.stdin.readline())
    keys = {
        device["mac"]: bytes.fromhex(device["bindkey"]) if device["bindkey"] else None for device in asked["devices"]
    }
    manager = Manager(keys)
    set_manager(manager)
    await manager.async_setup()
    turn = asyncio.Semaphore(AT_ONCE)
    clients = await asyncio.gather(*(client(proxy, turn) for proxy in asked["proxies"]))
    for one in clients:
        await listen(manager, one)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    seen = [(address, value) for address, values in manager.seen.items() for value in values]
    json.dump({"seen": seen}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
