"""A node's scanner: its state and mode, and the messages that tell the stream holder of them.

Invariant: advertisements are received only while the state is RUNNING. Whatever needs the radio alone (a connect, a
change of mode, the restart every 300 s) runs between :meth:`Scanner.stop` and :meth:`Scanner.start`.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum

from google.protobuf.message import Message

from proxy_listener.node.firmware import Firmware, NodeTiming
from proxy_listener.node.messages import api


class ScannerState(IntEnum):
    """``BluetoothScannerState``."""

    IDLE = 0
    STARTING = 1
    RUNNING = 2
    FAILED = 3
    STOPPING = 4
    STOPPED = 5


PASSIVE, ACTIVE = 0, 1
"""``BluetoothScannerMode``."""


class Scanner:
    """``send`` gets a message for the stream holder at each change."""

    def __init__(self, firmware: Firmware, timing: NodeTiming, send: Callable[[Message], None]) -> None:
        self._firmware = firmware
        self._timing = timing
        self._send = send
        self._radio = asyncio.Lock()
        self.state = ScannerState.RUNNING
        self.configured = self.mode = ACTIVE

    @property
    def hears(self) -> bool:
        """An advertisement that arrives now is received."""
        return self.state is ScannerState.RUNNING

    def report(self) -> Message:
        """The state and mode, as a message."""
        configured = self.configured if self._firmware.tells_configured_mode else None
        message: Message = api.BluetoothScannerStateResponse(
            state=self.state, mode=self.mode, configured_mode=configured
        )
        return message

    async def stop(self) -> None:
        """Acquire the radio, then stop the scan. :meth:`start` must follow."""
        await self._radio.acquire()
        try:
            self._enter(ScannerState.STOPPING)
            await asyncio.sleep(self._timing.scanner_step)
        except asyncio.CancelledError:
            self._enter(ScannerState.RUNNING)
            self._radio.release()
            raise
        if self._firmware.says_stopped:
            self._enter(ScannerState.STOPPED)
        self._enter(ScannerState.IDLE)

    async def start(self) -> None:
        """Start the scan again and release the radio."""
        try:
            self._enter(ScannerState.STARTING)
            await asyncio.sleep(self._timing.scanner_step)
            self._enter(ScannerState.RUNNING)
        finally:
            self._radio.release()

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    async def change(self, mode: int) -> None:
        """Scan in another mode. A scan that is not running uses it from its next start."""
        if mode == self.mode:
            return
        self.mode = mode
        if self.state is ScannerState.RUNNING and not self._radio.locked():
            await self.restart()

    async def cycle(self) -> None:
        """The firmware's own restart every 300 s, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.scan_cycle)
            await self.restart()

    def _enter(self, state: ScannerState) -> None:
        self.state = state
        self._send(self.report())
