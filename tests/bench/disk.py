"""What the history writes to the disk for each reading, over a whole period from fold to fold.

In, as a program: readings a second, devices. Out: bytes, on standard output. A minute of the running service has no
fold, and half an hour is too long for a benchmark: here the same commits follow each other without the time between
them, in a process of its own, whose writes the kernel counts. The rule of this file: it is a count, not a time, so it
may fail a build.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from proxy_listener.history import Journal
from proxy_listener.history.journal import FOLD_EVERY, FOLD_ROWS
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import HistorySettings

HERE = Path(__file__).parent
WALL = 1.7e9


def written(rate: float, devices: int) -> float:
    """KiB for each reading."""
    asked = [sys.executable, str(HERE / "disk.py"), str(rate), str(devices)]
    return float(subprocess.run(asked, check=True, capture_output=True, text=True, cwd=HERE.parent.parent).stdout)


def counted() -> int:
    """Bytes of the pages that this process made dirty; where the disk is in memory, bytes that it wrote."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"]) or int(lines["wchar"])


def reading(number: int, rate: float, devices: int) -> Reading:
    """Of a keyed thermometer, as it comes from the air."""
    device, counter = number % devices, number // devices
    quantity, value = (("temperature", 21.3), ("humidity", 45.2), ("battery", 88))[counter % 3]
    return Reading(
        time=WALL + number / rate,
        mac=0xA4C138000000 + device,
        name=f"LYWSD03MMC {device:04X}",
        model="LYWSD03MMC",
        source="advertisement",
        proxy=f"proxy-{device % 50}",
        room=f"Room {device % 50}",
        rssi=-60 - device % 20,
        counter=counter,
        trust="authenticated",
        late=False,
        values={quantity: value},
        identity=b"key!" + counter.to_bytes(4, "big") + (number * 7919 % 2**32).to_bytes(4, "big"),
    )


async def period(path: Path, rate: float, devices: int) -> int:
    """The readings from one fold to the next, committed as the running service does. How many there were."""
    settings = HistorySettings()
    journal = Journal(path, settings)
    rows, together = min(FOLD_ROWS, int(rate * FOLD_EVERY)), max(1, int(rate * settings.commit))
    for number in range(rows):
        journal.append(reading(number, rate, devices))
        if number % together == together - 1:
            await journal.flush()
    await journal.close()
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory(dir=HERE) as directory:
        before = counted()
        rows = asyncio.run(period(Path(directory) / "history.db", float(sys.argv[1]), int(sys.argv[2])))
        sys.stdout.write(f"{(counted() - before) / 1024 / rows}\n")


if __name__ == "__main__":
    main()
