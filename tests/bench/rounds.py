"""One round: a sender and one contestant, two processes on two cores, and what the contestant cost and found.

In: a mix and a contestant's name. Out: a :class:`Round`. The rule of this file: a contestant's time is the CPU time of
its whole process (all threads, the kernel's work for it included) while the mix is on air, and it is worth nothing
before its readings were held against what was sent.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TextIO

import attrs
from mix import Mix, sensors
from sender import KEY

from proxy_listener.model.advertisement import mac_text

HERE = Path(__file__).parent
START_LIMIT = 120.0
SETTLE = 2.7
"""Seconds after the last message: the window, ``[history] commit``, the commit and the last line."""

REST = 1.0
"""Seconds between the last subscription and the first message."""

OURS, COUNTING, STACK = "run", "count-only", "HA stack"
UNCOALESCED = "run, coalesce = 0"


@attrs.frozen
class Round:
    """What one contestant made of one mix. Seconds, and MB of resident memory.

    ``found`` of ``expected`` frames; ``twice`` and ``false`` are readings that should not be. ``latencies`` are from
    the air to the line on standard output, which follows the commit: ``urgent`` of readings with a flag, the others of
    readings that may wait for ``[history] commit``. ``written``: bytes that it caused to be written to the disk.
    """

    contestant: str
    mix: Mix
    cpu: float
    sent: int
    dropped: int
    received: int | None
    expected: int
    found: int
    twice: int
    false: int
    latencies: list[float]
    urgent: list[float]
    written: int
    rss: float
    rss_before: float
    first: float
    connected: float
    connect_cpu: float
    lag: float
    warming: int

    @property
    def cost(self) -> float:
        """Microseconds of CPU for each advertisement, which is seconds for a million."""
        measured = self.sent - self.warming
        return self.cpu / measured * 1e6 if measured else float("nan")

    @property
    def right(self) -> bool:
        """Whether its time counts."""
        if self.received not in {None, self.sent} or self.dropped:
            return False
        if self.contestant == COUNTING:
            return True
        if self.contestant == STACK:
            return self.found >= 0.99 * self.expected
        return self.found == self.expected and not self.twice and not self.false


class Process:
    """A child on one core, whose lines of standard output are kept with the time at which they came."""

    def __init__(self, command: list[str], core: int, log: TextIO) -> None:
        self.started = time.monotonic()
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=HERE.parent.parent,
            env={**os.environ, "PYTHONPATH": str(HERE.parent.parent), "JOURNAL_STREAM": ""},
        )
        os.sched_setaffinity(self.child.pid, {core})
        self.lines: list[tuple[float, str]] = []
        self.state: Path | None = None
        self._arrived = threading.Condition()
        self._next = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            with self._arrived:
                self.lines.append((time.monotonic(), line))
                self._arrived.notify()

    def tell(self, line: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def answer(self, limit: float = START_LIMIT, other: "Process | None" = None) -> Any:
        """Its next line, as JSON; TimeoutError also where ``other``, which it waits for, has ended."""
        deadline = time.monotonic() + limit
        with self._arrived:
            while len(self.lines) <= self._next:
                if time.monotonic() > deadline or (other and other.child.poll() is not None):
                    raise TimeoutError(f"no answer from {self.child.args!r}")
                self._arrived.wait(0.2)
            self._next += 1
            return json.loads(self.lines[self._next - 1][1])

    def cpu(self) -> float:
        """Seconds, of all its threads."""
        return time.clock_gettime(~self.child.pid << 3 | 2)  # man clock_getcpuclockid: how Linux names that clock

    def rss(self) -> float:
        """MB resident."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def written(self) -> int:
        """Bytes of the pages that it made dirty, which the system writes to the disk. 0 on a disk in memory."""
        counts = Path(f"/proc/{self.child.pid}/io").read_text()
        return int(counts.split("write_bytes:")[1].split()[0])

    def end(self) -> None:
        """Ask it to stop, and see that it does."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self._reader.join(5)
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe is not None:
                pipe.close()


def cores() -> tuple[int, int]:
    """The sender's core and the receiver's. One and the same where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


@contextmanager
def sending(mix: Mix, log: TextIO, addresses: int = 0) -> Iterator[Process]:
    """The sender, its ports known."""
    asked = json.dumps({"mix": attrs.asdict(mix), "addresses": addresses})
    sender = Process([sys.executable, str(HERE / "sender.py"), asked], cores()[0], log)
    try:
        yield sender
    finally:
        if sender.child.poll() is None:
            sender.tell("end")
        sender.end()


def configuration(
    directory: Path, mix: Mix, ports: list[int], coalesce: str = "50ms", more: Sequence[str] = ()
) -> Path:
    """The devices.toml of our own contestant."""
    lines = ["[service]", f'coalesce = "{coalesce}"', "[discovery]", 'accept = "listed"', 'interfaces = ["127.0.0.1"]']
    for n, port in enumerate(ports):
        lines += ["[[proxy]]", f'name = "p{n:04d}"', 'host = "127.0.0.1"', f"port = {port}", f'noise_psk = "{KEY}"']
    for sensor in sensors(mix.devices):
        lines += ["[[device]]", f'mac = "{mac_text(sensor.mac)}"']
        lines += [f'bindkey = "{sensor.key.hex()}"'] if sensor.key else []
    path = directory / "devices.toml"
    path.touch(0o600)
    path.write_text("\n".join([*lines, *more]) + "\n")
    return path


@contextmanager
def listening(contestant: str, mix: Mix, ports: list[int], log: TextIO, more: Sequence[str] = ()) -> Iterator[Process]:
    """The contestant, started, with all it needs to know. ``more``: lines of our own one's devices.toml."""
    with ExitStack() as stack:
        if contestant in {OURS, UNCOALESCED}:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            path = configuration(directory, mix, ports, "0" if contestant == UNCOALESCED else "50ms", more)
            verb = ["-m", "proxy_listener", "run", "-c", str(path), "--state", str(directory / "state")]
            receiver = Process([sys.executable, *verb], cores()[1], log)
            receiver.state = directory / "state"
        else:
            file = "counting.py" if contestant == COUNTING else "stack.py"
            receiver = Process([sys.executable, str(HERE / file)], cores()[1], log)
            proxies = [{"host": "127.0.0.1", "port": port, "noise_psk": KEY} for port in ports]
            devices = [
                {"mac": mac_text(sensor.mac), "bindkey": sensor.key.hex() if sensor.key else None}
                for sensor in sensors(mix.devices)
            ]
            receiver.tell(json.dumps({"proxies": proxies, "devices": devices}))
        try:
            yield receiver
        finally:
            receiver.end()


class Control(HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, state: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = state / "control.sock"

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def heard(receiver: Process) -> int:
    """How many advertisements the service says that it heard."""
    assert receiver.state is not None
    control = Control(receiver.state)
    control.request("GET", "/status")
    outcomes: dict[str, int] = json.load(control.getresponse())["outcomes"]
    control.close()
    return sum(outcomes.values())


def play(contestant: str, mix: Mix, addresses: int = 0) -> Round:
    """One round. ``addresses``: instead of the mix, so many foreign addresses that are heard once."""
    with tempfile.TemporaryFile("w+") as log, sending(mix, log, addresses) as sender:
        ports = sender.answer()["ports"]
        with listening(contestant, mix, ports, log) as receiver:
            try:
                streams = sender.answer(other=receiver)
            except TimeoutError:
                log.seek(0)
                raise RuntimeError(f"{contestant} did not connect:\n{log.read()[-3000:]}") from None
            connect_cpu = receiver.cpu()
            time.sleep(REST)
            sender.tell("go")
            began = sender.answer()["began"]
            time.sleep(began + mix.warm - time.monotonic())
            before, rss_before, written = receiver.cpu(), receiver.rss(), receiver.written()
            told = sender.answer(mix.seconds + START_LIMIT)
            time.sleep(SETTLE)
            cpu, rss = receiver.cpu() - before, receiver.rss()
            written = receiver.written() - written
            received = heard(receiver) if contestant in {OURS, UNCOALESCED} else None
    result = _judge(contestant, receiver, told["frames"], began)
    if contestant == COUNTING:
        received = json.loads(receiver.lines[-1][1])["received"]
    return Round(
        contestant=contestant,
        mix=mix,
        cpu=cpu,
        sent=told["sent"],
        dropped=told["dropped"],
        received=received,
        rss=rss,
        rss_before=rss_before,
        first=streams["first"] - receiver.started,
        connected=streams["last"] - receiver.started,
        connect_cpu=connect_cpu,
        lag=told["lag"],
        warming=told["warming"],
        written=written,
        **result,
    )


def _judge(contestant: str, receiver: Process, frames: list[list[Any]], began: float) -> dict[str, Any]:
    """What was found, against what was on air."""
    expected = {(mac_text(mac), counter): (celsius, time) for mac, counter, celsius, time in frames}
    found = twice = false = 0
    latencies: list[float] = []
    urgent: list[float] = []
    if contestant == STACK:
        seen = {(mac, value) for mac, value in json.loads(receiver.lines[-1][1])["seen"]}
        found = sum((mac, celsius) in seen for (mac, _), (celsius, _) in expected.items())
    elif contestant != COUNTING:
        said: Counter[tuple[str, int]] = Counter()
        for arrived, line in receiver.lines:
            reading = json.loads(line)
            name = reading["mac"], reading["counter"]
            celsius, on_air = expected.get(name, (None, began))
            if reading["values"].get("temperature") != celsius or celsius is None:
                false += 1
                continue
            said[name] += 1
            if said[name] == 1:
                (urgent if "moisture" in reading["values"] else latencies).append(arrived - on_air)
        found, twice = len(said), sum(count - 1 for count in said.values())
    return {
        "expected": len(expected),
        "found": found,
        "twice": twice,
        "false": false,
        "latencies": sorted(latencies),
        "urgent": sorted(urgent),
    }
