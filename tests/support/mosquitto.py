"""Mosquitto as a child process, a relay in front of it, and a subscriber that records what it receives."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
PATIENCE = 30.0


class Mosquitto:
    """A broker that keeps nothing beyond its process."""

    def __init__(self, folder: Path, *lines: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.conf = folder / "mosquitto.conf"
        plain = ["allow_anonymous true"] if not lines else []
        text = [f"listener {self.port} 127.0.0.1", "persistence false", "max_queued_messages 0", *plain, *lines]
        self.conf.write_text("\n".join(text) + "\n")
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        quiet = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", str(self.conf), stdout=quiet, stderr=quiet)
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionError:
                assert self.process.returncode is None, "mosquitto did not start"
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Relay:
    """The way to the broker: closed until it is opened."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.open = True
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            if not self.open:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
            with contextlib.closing(far_writer):
                ways = [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))]
                self._tasks |= {*ways}
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


class Subscriber:
    """Writes down what it hears. It is gone and back with the broker, as everyone is."""

    def __init__(self, port: int, *filters: str) -> None:
        self.port = port
        self.filters = filters or ("#",)
        self.heard: list[tuple[str, str, bool]] = []
        self.newest: dict[str, str] = {}
        self.numbers: list[int] = []
        self.distinct: set[int] = set()
        self.changed = asyncio.Condition()
        self.subscribed = asyncio.Event()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port, max_queued_incoming_messages=0) as client:
                    for filter_ in self.filters:
                        await client.subscribe(filter_, qos=1)
                    self.subscribed.set()
                    async for message in client.messages:
                        payload = message.payload
                        assert isinstance(payload, bytes)
                        self.note((str(message.topic), payload.decode(), message.retain))
                        async with self.changed:
                            self.changed.notify_all()
            self.subscribed.clear()
            await asyncio.sleep(0.02)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(condition)

    def note(self, heard: tuple[str, str, bool]) -> None:
        self.heard.append(heard)
        self.newest[heard[0]] = heard[1]
        if "/event/" in heard[0]:
            self.numbers.append(json.loads(heard[1])["number"])
            self.distinct.add(self.numbers[-1])


@contextlib.asynccontextmanager
async def background(*works: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
