"""One canary for each secret and one for each name, through a whole service with all its logs on.

Secrets that are configured, used, refused or wrong show up nowhere; names that are attacks on a terminal, a log, a page
or a topic come out harmless everywhere.
"""

import asyncio
import base64
import json
import re
import struct
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import attrs
import pytest
import tomlkit
from aioesphomeapi import APIClient
from aioesphomeapi.core import APIConnectionError
from support.fake_broker import FakeBroker
from support.rogue import HOSTILE_NAME
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2026_10
from proxy_listener.node.node import Node
from proxy_listener.node.settings import NodeSettings
from proxy_listener.simulator import frames

pytestmark = pytest.mark.mdns("alone")

PATIENCE = 20.0
MAC, PLAIN_MAC = 0xA4C1380283F4, 0x582D34AABBCC
PRINTABLE_ATTACK = """<b onclick='x'>"&/../+#$SYS{{7*7}}%s"""
"""What a configuration may name a device; anything unprintable there is refused."""


def psk(word: str) -> str:
    return base64.b64encode(word.encode().ljust(32, b"!")).decode()


PSK, WRONG_PSK, SHARED_PSK = psk("canary-psk"), psk("canary-wrong-psk"), psk("canary-shared-psk")
SHARE_PSK, FALSE_PSK = psk("canary-share-psk"), psk("canary-false-share-psk")
BINDKEY, OLD_BINDKEY, LEGACY = b"canary-bindkey-1", b"canary-bindkey-2", b"canary-legac"
PASSWORD, BROKER, TOKEN = "canary-password", "canary-broker", "canary-token-0123456789"
SECRETS = [
    PSK,
    WRONG_PSK,
    SHARED_PSK,
    SHARE_PSK,
    FALSE_PSK,
    BINDKEY.hex(),
    OLD_BINDKEY.hex(),
    LEGACY.hex(),
    PASSWORD,
    BROKER,
    TOKEN,
]
TRACES = [each.encode() for each in SECRETS] + [b"canary-", b"Y2FuYXJ5L", BINDKEY, OLD_BINDKEY, LEGACY]
VERBS = ("status", "devices", "status --json", "devices --json", "doctor", "check", f"history {mac_text(MAC)}")
UNSEEN = [b"\x1b", b"\x9b", "\u202e".encode(), b"\r"]


@attrs.frozen
class Outputs:
    """Everything that a service gave away, by where."""

    texts: dict[str, bytes]

    def holding(self, traces) -> list[tuple[str, bytes]]:
        return [(where, trace) for where, text in self.texts.items() for trace in traces if trace in text]


def document(nodes: list[Node], broker: int, page: int) -> dict:
    proxies = [
        {"name": "right", "noise_psk": PSK, "host": "127.0.0.1", "port": nodes[0].port},
        {"name": "wrong", "noise_psk": WRONG_PSK, "host": "127.0.0.1", "port": nodes[1].port},
        {"name": "password", "password": PASSWORD, "host": "127.0.0.1", "port": nodes[2].port},
        {"name": "hostile", "room": PRINTABLE_ATTACK, "host": "127.0.0.1", "port": nodes[3].port},
    ]
    devices = [
        {"mac": mac_text(MAC), "name": PRINTABLE_ATTACK, "bindkey": [BINDKEY.hex(), OLD_BINDKEY.hex()]},
        {"mac": mac_text(MAC + 1), "name": "wrong key", "bindkey": BINDKEY.hex()},
        {"mac": mac_text(MAC + 2), "name": "old remote", "bindkey": LEGACY.hex()},
    ]
    return {
        "discovery": {"accept": "keyed", "noise_psk": SHARED_PSK, "interfaces": ["127.0.0.1"]},
        "share": {"listen": "127.0.0.1", "noise_psk": SHARE_PSK, "port": page + 1 if page < 60_000 else page - 100},
        "proxy": proxies,
        "device": devices,
        "sink": {
            "jsonl": {"path": "-"},
            "mqtt": {"host": "127.0.0.1", "port": broker, "user": "me", "password": BROKER},
            "prometheus": {},
        },
        "web": {"listen": f"127.0.0.1:{page}", "token": TOKEN},
    }


async def verb(directory: Path, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command(directory, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return said


def command(directory: Path, *arguments: str) -> list[str]:
    given = ["-c", str(directory / "devices.toml"), "--state", str(directory / "state")]
    return [sys.executable, "-m", "proxy_listener", *arguments, *given]


async def pages(port: int) -> dict[str, bytes]:
    given, texts = {"Authorization": f"Bearer {TOKEN}"}, {}
    paths = ("/status", "/devices", "/proxies", "/metrics", "/coverage", "/readings", "/openapi.json", "/healthz", "/")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        for path in (*paths, f"/devices/{mac_text(MAC)}/routes", f"/devices/{mac_text(MAC)}/readings"):
            async with client.get(path, headers=given) as answer:
                assert answer.status < 500, path
                texts[path] = await answer.read()
        async with client.get("/status", headers={"Authorization": "Bearer canary"}) as answer:
            assert answer.status == 401
        async with client.post("/login", data={"token": TOKEN}, headers=given) as answer:
            texts["cookie"] = str(answer.headers).encode()
    return texts


async def clients(page: int) -> bytes:
    """What shared nodes say to a client with their key, and to one with another key."""
    said = []
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{page}", headers={"Authorization": f"Bearer {TOKEN}"}) as web,
        web.get("/proxies") as answer,
    ):
        ports = [one["shared"]["port"] for one in await answer.json() if one["shared"] and one["shared"]["port"]]
    for port in ports:
        for key in (FALSE_PSK, SHARE_PSK):
            client = APIClient("127.0.0.1", port, None, noise_psk=key)
            try:
                await client.connect(login=True)
                said.append(str(await client.device_info()))
            except APIConnectionError as error:
                said.append(str(error))
            finally:
                await client.disconnect(force=True)
    assert any("-shared" in text for text in said)
    return "\n".join(said).encode()


def frame(counter: int, mac: int, key: bytes | None) -> bytes:
    body = frames.obj(0x1004, struct.pack("<h", 215))
    product = 0x055B if key else 0x01AA
    version = 3 if key is LEGACY else 5
    return frames.advertisement(frames.frame(product, counter, body, mac=mac, key=key, version=version))


def speak(nodes: list[Node], counter: int) -> None:
    for node in nodes:
        node.hear(MAC, 0, -60, frame(counter, MAC, BINDKEY if counter % 2 else OLD_BINDKEY))
        node.hear(MAC + 1, 0, -60, frame(counter, MAC + 1, OLD_BINDKEY))
        node.hear(MAC + 2, 0, -60, frame(counter, MAC + 2, LEGACY))
        node.hear(PLAIN_MAC, 0, -60, frame(counter, PLAIN_MAC, None))


@pytest.fixture
async def outputs(tmp_path, unused_tcp_port):
    settings = [
        NodeSettings("right", 0xA0B1C2D3E401, HOSTILE_NAME, Secret(PSK), area=HOSTILE_NAME),
        NodeSettings("wrong", 0xA0B1C2D3E402, HOSTILE_NAME, Secret(PSK)),
        NodeSettings("password", 0xA0B1C2D3E403, password=Secret("another")),
        NodeSettings(HOSTILE_NAME, 0xA0B1C2D3E404, HOSTILE_NAME * 1000, Secret(SHARED_PSK)),
        NodeSettings("evil\u202e<b>", 0xA0B1C2D3E405, HOSTILE_NAME, Secret(SHARED_PSK)),
    ]
    nodes = [Node(each, ESPHOME_2025_6 if each.password else ESPHOME_2026_10) for each in settings]
    zeroconf, texts, broker = AsyncZeroconf(interfaces=["127.0.0.1"]), {}, FakeBroker()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(zeroconf.async_close)
        await stack.enter_async_context(broker.serving())
        for node in nodes:
            await node.start(zeroconf=zeroconf if node is nodes[-1] else None)
            stack.push_async_callback(node.stop)
        path = tmp_path / "devices.toml"
        path.touch(mode=0o600)
        path.write_text(tomlkit.dumps(document(nodes, broker.port, unused_tcp_port)))
        process = await asyncio.create_subprocess_exec(
            *command(tmp_path, "run", "-v"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        stack.push_async_callback(ended, process)
        told, heard = bytearray(), bytearray()
        pumps = [
            asyncio.create_task(pump(process.stderr, told)),
            asyncio.create_task(pump(process.stdout, heard)),
        ]
        async with asyncio.timeout(PATIENCE):
            counter = 0
            while not (settled(bytes(told)) and heard.count(b"\n") > 6 and broker.payloads("/state")):
                counter += 1
                speak(nodes, counter)
                await asyncio.sleep(0.1)
        texts["clients"] = await clients(unused_tcp_port)
        texts |= await pages(unused_tcp_port)
        said = await asyncio.gather(*(verb(tmp_path, *words.split()) for words in VERBS))
        texts |= dict(zip(VERBS, said, strict=True))
        texts |= {name: of_process(process.pid, name) for name in ("cmdline", "limits")}
        process.terminate()
        await process.wait()
        await asyncio.gather(*pumps)
        texts |= {"stderr": bytes(told), "stdout": bytes(heard)}
        texts["mqtt"] = json.dumps([(topic, text) for topic, text, _ in broker.published], ensure_ascii=False).encode()
    texts |= files(tmp_path / "state")
    texts["topics"] = "\n".join(topic for topic, _, _ in broker.published).encode()
    return Outputs(texts)


async def ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def of_process(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def files(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file()}


def settled(log: bytes) -> bool:
    """Each node came to its end: two listen, a key and a password are wrong, and the stranger is in."""
    return log.count(b"proxy state: live") >= 3 and all(
        b"proxy state: " + state in log for state in (b"wrong key", b"wrong password")
    )


async def pump(stream: asyncio.StreamReader, into: bytearray) -> None:
    while some := await stream.read(65_536):
        into += some


async def test_no_secret_and_no_attack_comes_out_anywhere(outputs):
    """H1, L8: logs at debug, exceptions of a wrong key, the history's file, every page, topic, table and argument."""
    assert outputs.holding(TRACES) == []
    binary = {"history.db", "history.db-wal", "history.db-shm"}
    shown = Outputs({where: text for where, text in outputs.texts.items() if where not in binary})
    assert shown.holding(UNSEEN) == []
    assert b"Max core file size        0" in outputs.texts["limits"]
    assert re.search(rb"[^\w/\n-]|//", outputs.texts["topics"]) is None
    assert PRINTABLE_ATTACK.encode() not in outputs.texts["/"]
    assert b"Traceback" not in outputs.texts["stderr"]
    for line in outputs.texts["stdout"].splitlines():
        json.loads(line)
    for line in outputs.texts["stderr"].splitlines():
        assert line[:2] == b"20", line
    assert PRINTABLE_ATTACK in {json.loads(line)["name"] for line in outputs.texts["stdout"].splitlines()}
    assert PRINTABLE_ATTACK.encode() in outputs.texts["history.db"]
