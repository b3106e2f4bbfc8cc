"""A broker of a few lines that refuses, hangs up, is silent, floods or delays acknowledgements as a test says.

It acknowledges retained messages at once.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP = 1, 2, 3, 4, 8, 9, 12, 13


class FakeBroker:
    """``published`` is what came, as (topic, payload, retain). Protocol level 4 is MQTT 3.1.1, 5 is MQTT 5.

    ``refuses``: the level that it answers with ``reason``. ``silent``: it answers nothing. ``sends``: bytes that follow
    its CONNACK, ``repeated`` without an end.
    """

    def __init__(
        self,
        *,
        refuses: int | None = None,
        reason: int = 1,
        hangs_up_on: int | None = None,
        forbids: str = "",
        silent: bool = False,
        sends: bytes = b"",
        repeated: bool = False,
    ) -> None:
        self.refuses = refuses
        self.reason = reason
        self.silent = silent
        self.sends = sends
        self.repeated = repeated
        self.sent = 0
        self.left = 0
        self.hangs_up_on = hangs_up_on
        self.forbids = forbids
        self.acknowledges = asyncio.Event()
        self.acknowledges.set()
        self.published: list[tuple[str, str, bool]] = []
        self.levels: list[int] = []
        self.clients: list[str] = []
        self.wills: list[bool] = []
        self.came = asyncio.Condition()
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.drop()
            await server.wait_closed()

    def drop(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def until(self, count: int, part: str = "/event/") -> None:
        """So many messages came whose topic has this in it."""
        async with self.came:
            await self.came.wait_for(lambda: len(self.payloads(part)) >= count)

    async def connected(self, count: int) -> None:
        """So many clients have connected since the beginning."""
        async with self.came:
            await self.came.wait_for(lambda: len(self.levels) >= count)

    async def lost(self, count: int) -> None:
        """So many clients have left since the beginning."""
        async with self.came:
            await self.came.wait_for(lambda: self.left >= count)

    def unacknowledged(self) -> list[str]:
        """Topics of the messages that wait for their acknowledgement."""
        return [topic for topic, _, retain in self.published if not retain]

    def payloads(self, part: str) -> list[str]:
        """What came on topics that have this in them."""
        return [payload for topic, payload, _ in self.published if part in topic]

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        waiting: list[asyncio.Task[None]] = []
        level = 4
        try:
            while True:
                kind, body = await self._packet(reader)
                if kind >> 4 == CONNECT:
                    level = body[6]
                    connects = self._connects(level, body, writer)
                    async with self.came:
                        self.came.notify_all()
                    if not connects:
                        return
                    if self.sends:
                        waiting.append(asyncio.create_task(self._flood(writer)))
                elif kind >> 4 == PUBLISH:
                    mid = self._publishes(level, kind, body)
                    topic, _, retained = self.published[-1]
                    reason = b"\x87" if level == 5 and self.forbids and topic.startswith(self.forbids) else b""
                    waiting.append(asyncio.create_task(self._acknowledge(mid, reason, retained, writer)))
                    async with self.came:
                        self.came.notify_all()
                elif kind >> 4 == SUBSCRIBE:
                    properties = b"\0" if level == 5 else b""
                    writer.write(bytes([SUBACK << 4, 3 + len(properties)]) + body[:2] + properties + b"\x01")
                elif kind >> 4 == PINGREQ:
                    writer.write(bytes([PINGRESP << 4, 0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in waiting:
                task.cancel()
            self._writers.discard(writer)
            writer.close()
            self.left += 1
            async with self.came:
                self.came.notify_all()

    async def _flood(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(self.sends)
                self.sent += len(self.sends)
                await writer.drain()
                await asyncio.sleep(0)
                if not self.repeated:
                    return

    async def _packet(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        kind = (await reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return kind, await reader.readexactly(length)

    def _connects(self, level: int, body: bytes, writer: asyncio.StreamWriter) -> bool:
        self.levels.append(level)
        if level == self.hangs_up_on:
            return False
        self.wills.append(bool(body[7] & 0x04))
        at = 10 + (1 + body[10] if level == 5 else 0)
        (size,) = struct.unpack_from(">H", body, at)
        self.clients.append(body[at + 2 : at + 2 + size].decode())
        if self.silent:
            return True
        if level == self.refuses:
            writer.write(bytes([CONNACK << 4, 2, 0, self.reason]))
            return False
        writer.write(bytes([CONNACK << 4, 3, 0, 0, 0]) if level == 5 else bytes([CONNACK << 4, 2, 0, 0]))
        return True

    def _publishes(self, level: int, kind: int, body: bytes) -> int:
        (size,) = struct.unpack_from(">H", body)
        at = 2 + size
        (mid,) = struct.unpack_from(">H", body, at)
        payload = body[at + 2 + (1 if level == 5 else 0) :]
        self.published.append((body[2:at].decode(), payload.decode(), bool(kind & 1)))
        return int(mid)

    async def _acknowledge(self, mid: int, reason: bytes, retained: bool, writer: asyncio.StreamWriter) -> None:
        if not retained:
            await self.acknowledges.wait()
        writer.write(bytes([PUBACK << 4, 2 + len(reason)]) + struct.pack(">H", mid) + reason)
