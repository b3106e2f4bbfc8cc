"""One round with ``[share]``: a sender, the service, and a process of clients of its shared nodes.

In: a mix, and how many clients each shared node has. Out: what the service cost, what each client received, and how
much later than the proxy sent it. The clients run on the sender's core.
"""

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import attrs
from mix import Mix
from rounds import HERE, OURS, REST, SETTLE, START_LIMIT, Control, Process, cores, listening, sending

SHARE_KEY = "bOFFzzvfpg5DB94DuBGLXD/hMnhpDKgP9UQyBulwWVU="
FIRST_PORT = 21_000


@attrs.frozen
class SharedRound:
    """``cost``: microseconds of CPU for each advertisement; ``cpu``: seconds. ``received``: advertisements of every
    client; ``latencies``: seconds from a proxy's write to a client's callback, in order of size. ``rss``: MB.
    """

    clients: int
    cost: float
    sent: int
    dropped: int
    received: list[int]
    latencies: list[float]
    rss: float

    @property
    def missing(self) -> int:
        """Advertisements that did not come to a client, and such as came twice."""
        return abs(self.clients * self.sent - sum(self.received)) + self.dropped

    def found(self) -> str:
        return f"{sum(self.received)} of {self.clients * self.sent}"


@contextmanager
def subscribed(service: Process, proxies: int, each: int, log: TextIO) -> Iterator[Process]:
    """The clients, all with their streams."""
    process = Process([sys.executable, str(HERE / "clients.py")], cores()[0], log)
    try:
        nodes = [{"host": "127.0.0.1", "port": port, "noise_psk": SHARE_KEY} for port in shared(service, proxies)]
        process.tell(json.dumps({"nodes": nodes, "each": each}))
        process.answer(other=service)
        yield process
    finally:
        process.end()


def shared(service: Process, proxies: int) -> list[int]:
    """The ports of the shared nodes in the order of the proxies' names, once all are there."""
    deadline = time.monotonic() + START_LIMIT
    assert service.state is not None
    while time.monotonic() < deadline:
        control = Control(service.state)
        control.request("GET", "/proxies")
        listed: list[dict[str, Any]] = json.load(control.getresponse())
        control.close()
        ports = {one["name"]: one["shared"]["port"] for one in listed if one.get("shared")}
        if sum(port > 0 for port in ports.values()) == proxies:
            return [ports[name] for name in sorted(ports)]
        time.sleep(0.2)
    raise TimeoutError("not every proxy is shared")


def play_shared(mix: Mix, clients: int) -> SharedRound:
    """``clients``: of each shared node, one or more."""
    more = ["[share]", 'listen = "127.0.0.1"', f'noise_psk = "{SHARE_KEY}"', f"port = {FIRST_PORT}"]
    with tempfile.TemporaryFile("w+") as log, sending(mix, log) as sender:
        ports = sender.answer()["ports"]
        with listening(OURS, mix, ports, log, more) as service:
            sender.answer(other=service)
            with subscribed(service, mix.proxies, clients, log) as process:
                time.sleep(REST)
                sender.tell("go")
                began = sender.answer()["began"]
                time.sleep(began + mix.warm - time.monotonic())
                before = service.cpu()
                told = sender.answer(mix.seconds + START_LIMIT)
                time.sleep(SETTLE)
                cpu, rss = service.cpu() - before, service.rss()
            heard = json.loads(process.lines[-1][1])
    written: dict[int, list[float]] = defaultdict(list)
    for proxy, at in told["writes"]:
        written[proxy].append(at)
    latencies = [
        came - at
        for n, one in enumerate(heard)
        for at, came in zip(written[n // clients], one["times"], strict=False)
        if at >= began + mix.warm
    ]
    cost = cpu / (told["sent"] - told["warming"]) * 1e6
    received = [one["count"] for one in heard]
    return SharedRound(clients, cost, told["sent"], told["dropped"], received, sorted(latencies), rss)
