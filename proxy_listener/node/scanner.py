"""A node's scan: running, or stopped and started again, and what its stream holder is told of it.

The rule of this file: a node hears only while the state is RUNNING, and everything that needs the radio for itself
(a connect, a change of mode, the 300 s cycle) takes its turn between :meth:`Scanner.stop` and :meth:`Scanner.start`.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum

from google.protobuf.message import Message

from proxy_listener.node.firmware import Firmware, Timing
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
    """``tell`` gets a message for the stream holder at each change.

    ``wedged`` is a fault: the scan says RUNNING and hears nothing; ``"scan"`` until the scan is started again,
    ``"power"`` until the node is.
    """

    def __init__(self, firmware: Firmware, timing: Timing, tell: Callable[[Message], None]) -> None:
        self._firmware = firmware
        self._timing = timing
        self._tell = tell
        self._turn = asyncio.Lock()
        self.state = ScannerState.RUNNING
        self.configured = self.mode = ACTIVE
        self.wedged: str | None = None

    @property
    def hears(self) -> bool:
        """An advertisement that arrives now is heard."""
        return self.state is ScannerState.RUNNING and self.wedged is None

    def report(self) -> Message:
        """The state and mode, as a message."""
        configured = self.configured if self._firmware.tells_configured_mode else None
        message: Message = api.BluetoothScannerStateResponse(
            state=self.state, mode=self.mode, configured_mode=configured
        )
        return message

    async def stop(self) -> None:
        """Wait for the radio, then stop the scan. :meth:`start` must follow."""
        await self._turn.acquire()
        try:
            self._become(ScannerState.STOPPING)
            await asyncio.sleep(self._timing.scanner_step)
        except asyncio.CancelledError:
            self._become(ScannerState.RUNNING)
            self._turn.release()
            raise
        if self._firmware.says_stopped:
            self._become(ScannerState.STOPPED)
        self._become(ScannerState.IDLE)

    async def start(self) -> None:
        """Start the scan again and give the radio back."""
        try:
            self._become(ScannerState.STARTING)
            await asyncio.sleep(self._timing.scanner_step)
            if self.wedged == "scan":
                self.wedged = None
            self._become(ScannerState.RUNNING)
        finally:
            self._turn.release()

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    async def change(self, mode: int) -> None:
        """Scan in another mode. It is told at once; a scan that is not running has it from its next start."""
        if mode == self.mode:
            return
        self.mode = mode
        if self.state is ScannerState.RUNNING and not self._turn.locked():
            await self.restart()

    async def cycle(self) -> None:
        """The firmware's own restart every 300 s, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.scan_cycle)
            await self.restart()

    def _become(self, state: ScannerState) -> None:
        self.state = state
        self._tell(self.report())
