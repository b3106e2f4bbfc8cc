"""The listener over the journal: the same for ``run``, ``demo`` and ``replay``.

What comes in: the configuration, an open journal, the clocks at the start. What goes out: ``hear`` for the proxies, the
devices' state, and readings to the journal. The listener does not know the journal, and the journal not the listener.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog

from proxy_listener.config import Config
from proxy_listener.engine.dedup import NEWEST_KEPT, REPEATABLE_KEPT, REPEATABLE_SECONDS, counter_of
from proxy_listener.engine.device import Device
from proxy_listener.engine.devices import Devices, Notice
from proxy_listener.engine.kept import open_kept
from proxy_listener.engine.listener import Listener
from proxy_listener.engine.memory import KeptFrame
from proxy_listener.formats import RARE, find_company, find_ours, model_named
from proxy_listener.history import Journal
from proxy_listener.model.advertisement import Address, ForeignFilter, mac_text
from proxy_listener.model.errors import NoReadingError, ProxyListenerError
from proxy_listener.model.history import KnownFrame, Reception
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading, Value
from proxy_listener.model.timing import DAY

log = structlog.get_logger()

_ADVICE: Mapping[str, tuple[str, str]] = {
    "admitted": ("info", "new device, not in devices.toml"),
    "full": (
        "warning",
        (
            "too many new devices: no more are admitted for now, except known products that were heard for an hour; "
            "proxy-listener admit lists them, and admits one at once"
        ),
    ),
    "key_verified": ("info", "bindkey verified"),
    "key_wrong": (
        "warning",
        (
            "wrong bindkey, or forged frames in its name: the key changes whenever the device is added to the Xiaomi "
            "app again; get the new one and enter it"
        ),
    ),
    "key_missing": ("warning", "sends encrypted frames and has no bindkey; they are kept until it is entered"),
    "guessing": (
        "warning",
        "more frames with a wrong tag than bit errors explain: some of its frames are dropped, lest one be guessed",
    ),
    "conflict": (
        "warning",
        "two senders use this device's address at once; its frames are not authenticated, so no value can be trusted",
    ),
    "format": (
        "info",
        (
            "frames of another format come in its name; after new firmware was installed the old bindkey has to go: "
            "enter the new one, or none where the new firmware does not encrypt"
        ),
    ),
    "room": ("info", "located"),
    "old_firmware": (
        "warning",
        (
            "its firmware advertises no values; with a [[device]] entry it is read over a connection; 3.2.1 or newer, "
            "which the Flower Care app installs, advertises them"
        ),
    ),
}


def log_notice(notice: Notice) -> None:
    """One log line for a change of a device."""
    level, text = _ADVICE[notice.kind]
    line = log.bind(mac=mac_text(notice.mac), device=notice.name)
    (line.warning if level == "warning" else line.info)(text, **({"detail": notice.detail} if notice.detail else {}))


class JournalMemory:
    """The journal as the listener's memory. What waits to be committed counts as remembered."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._models = {device.mac: device.model for device in journal.reader.devices()}
        self.known = journal.known
        self.admitted = journal.tables.admitted
        self.admit = journal.tables.admit

    def highest(self, mac: Address, key_id: bytes) -> int | None:
        """The highest counter under a bindkey."""
        identity = self._journal.highest_identity(mac, key_id)
        return None if identity is None else counter_of(identity) if identity else -1

    def newest(self, mac: Address) -> Iterable[KnownFrame]:
        """The newest identities of a device, oldest first."""
        return self._journal.reader.newest(mac, NEWEST_KEPT, REPEATABLE_SECONDS, REPEATABLE_KEPT)

    def latest(self, mac: Address) -> Mapping[str, tuple[Value, float]]:
        """The live state of a device when the service last ran."""
        return {name: (latest.value, latest.time) for name, latest in self._journal.reader.latest(mac).items()}

    def model(self, mac: Address) -> Model | None:
        """By the name that its last row has."""
        return model_named(self._models.get(mac, ""))

    def keep(
        self, mac: Address, time: float, proxy: str, rssi: int, address_type: int, uuid: int, payload: bytes
    ) -> bool:
        """Kept with the history, bounded."""
        return self._journal.tables.seal(mac, time, proxy, rssi, address_type, payload, uuid)


def open_journal(config: Config, state: Path | None) -> Journal:
    """The history of a state directory; in memory without one. ProxyListenerError where it cannot be opened."""
    path = None if state is None else state / config.history.path
    try:
        return Journal(path, config.history)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ProxyListenerError(f"the history {path} cannot be opened: {why}") from error


class Pipeline:
    """A listener over a journal. ``heard`` and ``time``: monotonic and wall seconds at the start.

    ``emit`` takes each reading; without it the journal does. ``at_once``: admit devices by their first frame.
    """

    def __init__(
        self,
        config: Config,
        journal: Journal,
        *,
        room: Callable[[str], str],
        heard: float,
        time: float,
        emit: Callable[[Reading], None] | None = None,
        at_once: bool = False,
    ) -> None:
        self.journal = journal
        self._emit = emit or journal.append
        self._emitted: set[tuple[Address, int]] = set()
        self._lost = 0
        self.devices = Devices(
            JournalMemory(journal),
            room=room,
            notify=log_notice,
            started=heard,
            started_time=time,
            admissions=journal.tables.admissions(time - DAY),
            at_once=at_once,
        )
        self.devices.configure(config.devices, config.unlisted.unlisted)
        self.listener = Listener(self.devices, self._emit)
        self.hear = self.listener.hear
        self.foreign = ForeignFilter(find_ours, RARE, find_company, self.listener.count_foreign)

    def record_read(self, reading: Reading) -> None:
        """A reading of a read over a connection: it moves the live state, and goes where all readings go."""
        self.devices.record_read(reading)
        self._emit(reading)

    def outcomes(self) -> dict[str, int]:
        """How many advertisements became what."""
        return {str(outcome): self.listener.outcomes[outcome] for outcome in Outcome}

    def record_reception(self, time: float) -> None:
        """Add what each proxy heard since the last call to the hourly counts."""
        hour = int(time // 3600)
        rows = [
            Reception(counted.proxy, address, hour, counted.frames, counted.alone, counted.of)
            for address, device in self.devices.by_address.items()
            for counted in device.routes.counted()
        ]
        if rows:
            self.journal.tables.record_reception(rows)

    async def open_kept(self) -> int:
        """Read the kept frames of every device that has a bindkey now. Returns how many became readings.

        ProxyListenerError where the readings cannot be committed: the frames stay kept, for the next call.
        """
        opened = 0
        for mac in list(self.journal.sealed_counts):
            device = self.devices.by_address.get(mac)
            if device is None or not device.keys:
                continue
            if not self._emitted:
                self._lost = self.journal.storage.lost
            done = await self._emit_kept(device)
            if done:
                # Forgotten only when the readings are committed. After a crash in between they are read again: what is
                # authenticated is then known; a legacy frame has no proof, and may be in the history twice.
                flushed, why = await self.journal.flush(), self.journal.storage.error
                if self.journal.storage.lost > self._lost:
                    # Readings of these frames may be among the lost ones, also since an earlier call: emit all again.
                    self._emitted.clear()
                    flushed, why = False, "readings were lost"
                if not flushed:
                    raise ProxyListenerError(f"frames kept for {mac_text(mac)} stay kept, without readings: {why}")
                self.journal.tables.unseal(mac, done)
                # Also those that an earlier call emitted and could not commit.
                emitted = self._emitted & {(mac, id_) for id_ in done}
                self._emitted -= emitted
                log.info("kept frames decoded", mac=mac_text(mac), device=device.name, readings=len(emitted))
                opened += len(emitted)
        return opened

    async def _emit_kept(self, device: Device) -> list[int]:
        """Emit the readings of its kept frames, each once. The frames that need not be kept longer."""
        done: list[int] = []
        async for sealed in self.journal.reader.sealed(device.address):
            if (device.address, sealed.id) not in self._emitted:
                id_, mac, time, proxy, rssi, address_type, data, uuid = sealed
                frame = KeptFrame(id_, mac, time, proxy, rssi, address_type, uuid, data)
                try:
                    reading = open_kept(self.listener, device, frame)
                except NoReadingError as error:
                    if error.outcome is Outcome.WRONG_BINDKEY:
                        continue
                else:
                    self._emit(reading)
                    self._emitted.add((device.address, sealed.id))
            done.append(sealed.id)
        return done
