"""A program on a terminal of a given size: what it writes, without the escape sequences."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from contextlib import asynccontextmanager

import attrs

PATIENCE = 30.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@attrs.define
class Terminal:
    """``text`` is all that came so far."""

    process: asyncio.subprocess.Process
    _raw: bytearray
    _came: asyncio.Event
    _ended: asyncio.Event  # all that was written has come

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self._raw.decode(errors="replace"))

    async def until(self, pattern: str) -> re.Match:
        """Wait until the text has this."""
        try:
            async with asyncio.timeout(PATIENCE):
                # In the whole text, because a frame may come in parts.
                while (found := re.search(pattern, self.text)) is None:
                    assert self.process.returncode is None, self.text
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{pattern} did not come:\n{self.text}") from None
        return found

    async def interrupt(self) -> int:
        """Ctrl-C, and the exit status."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            status = await self.process.wait()
            await self._ended.wait()
        return status


@asynccontextmanager
async def on_terminal(*words, lines=24, columns=80):
    """``proxy-listener`` with these words."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    os.set_blocking(master, False)
    unset = {"COLUMNS", "LINES", "NO_COLOR"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy_listener",
        *map(str, words),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(slave)
    raw, came, ended, loop = bytearray(), asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        try:
            data = os.read(master, 65_536)
        except BlockingIOError:
            return
        except OSError:  # EIO: the program has ended
            data = b""
        if not data:
            loop.remove_reader(master)
            ended.set()
        raw.extend(data)
        came.set()

    loop.add_reader(master, read)
    try:
        yield Terminal(process, raw, came, ended)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(master)
        os.close(master)
