"""The listener and what it remembers by, joined: the same engine under ``run``, ``demo`` and ``replay``.

What comes in: the configuration, an open journal, the clocks at the start. What goes out: ``hear`` for the proxies, and
the views that sinks, page and verbs look through. The rule of this file: the listener knows no journal and the journal
no listener; what one asks of the other is here.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import attrs
import structlog

from proxy_listener.config import Config
from proxy_listener.engine.dedup import UNCOUNTED_TTL
from proxy_listener.engine.device import Device
from proxy_listener.engine.devices import Devices, Notice
from proxy_listener.engine.kept import unseal
from proxy_listener.engine.listener import Listener
from proxy_listener.formats.xiaomi.models import HHCCJCY10, MODELS, SCALE_V1, SCALE_V2, model_of
from proxy_listener.history import Hearing, Journal, Known
from proxy_listener.model.advertisement import Address, mac_text, parse_mac
from proxy_listener.model.errors import NoReadingError, ProxyListenerError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading, Value
from proxy_listener.model.timing import DAY

log = structlog.get_logger()

LASTING_NOTE = "alive"
"""The note that says when frames which prove nothing, and which devices go on with, were last heard."""

_BY_NAME = {model.name: model for model in (*MODELS.values(), SCALE_V1, SCALE_V2, HHCCJCY10)}
_UNNAMED = re.compile("0x[0-9A-F]{4}")

_ADVICE: Mapping[str, tuple[str, str]] = {
    "admitted": ("info", "new device, not in devices.toml"),
    "key_verified": ("info", "bindkey verified"),
    "key_wrong": (
        "warning",
        "wrong bindkey: it changes whenever the device is added to the Xiaomi app again; get the new one and enter it",
    ),
    "key_missing": ("warning", "sends encrypted frames and has no bindkey; they are kept until it is entered"),
    "guessing": (
        "warning",
        "more frames with a wrong tag than an honest radio sends; this proxy's are dropped meanwhile",
    ),
    "conflict": (
        "warning",
        "two senders use this device's address at once; its values are claimed by anyone, so none is to be trusted",
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


def tell(notice: Notice) -> None:
    """One log line for a change of a device."""
    level, text = _ADVICE[notice.kind]
    line = log.bind(mac=mac_text(notice.mac), device=notice.name)
    (line.warning if level == "warning" else line.info)(text, **({"detail": notice.detail} if notice.detail else {}))


@attrs.frozen
class _Lasting:
    """A frame that is in no row of the newest: its device still went on with it when the service stopped."""

    identity: bytes
    time: float
    counter: int | None = None
    late: bool = True
    lasting: bool = True


class Remembered:
    """The journal as the listener's memory."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._models = {device.mac: device.model for device in journal.reader.devices()}
        self._lasting = _read_lasting(journal.tables.noted(LASTING_NOTE))

    def known(self, mac: Address, identity: bytes) -> bool:
        """In the journal, or on its way there."""
        return self._journal.known(mac, identity)

    def highest(self, mac: Address, key_id: bytes) -> int | None:
        """In the journal, or on its way there."""
        return self._journal.highest(mac, key_id)

    def newest(self, mac: Address) -> Iterable[Known | _Lasting]:
        """The rows, those of frames that last with the time at which they were heard last."""
        last = self._lasting.pop(mac, {})
        rows = [
            row._replace(time=max(row.time, last[row.identity]), lasting=True) if row.identity in last else row
            for row in self._journal.reader.newest(mac)
        ]
        older = last.keys() - {row.identity for row in rows}
        return [*(_Lasting(identity, last[identity]) for identity in older), *rows]

    def lasting(self, since: float) -> Iterator[tuple[Address, bytes, float]]:
        """``(mac, identity, wall time last heard)`` of what lasted when the service last ran, of devices that were not
        heard yet. What is older than ``since`` has lapsed, and is forgotten.
        """
        for mac, last in list(self._lasting.items()):
            for identity, time in list(last.items()):
                if time >= since:
                    yield mac, identity, time
                else:
                    del last[identity]
            if not last:
                del self._lasting[mac]

    def latest(self, mac: Address) -> Mapping[str, tuple[Value, float]]:
        """What was newest when the service last ran."""
        return {name: (latest.value, latest.time) for name, latest in self._journal.reader.latest(mac).items()}

    def product(self, mac: Address) -> Model | None:
        """By the name that its last row has."""
        name = self._models.get(mac, "")
        return _BY_NAME.get(name) or (model_of(int(name, 16)) if _UNNAMED.fullmatch(name) else None)

    def admitted(self, mac: Address) -> bool:
        """On whatever day."""
        return self._journal.tables.is_admitted(mac)

    def admit(self, mac: Address, time: float) -> None:
        """Kept with the history."""
        self._journal.tables.admit(mac, time)

    def seal(self, mac: Address, time: float, proxy: str, rssi: int, address_type: int, payload: bytes) -> None:
        """Kept with the history, bounded."""
        self._journal.tables.seal(mac, time, proxy, rssi, address_type, payload)


def open_journal(config: Config, state: Path | None) -> Journal:
    """The history of a state directory; in memory without one. ProxyListenerError where it cannot be opened."""
    path = None if state is None else state / config.history.path
    try:
        return Journal(path, config.history)
    except (OSError, sqlite3.Error) as error:
        raise ProxyListenerError(f"the history {path} cannot be opened: {error}") from error


class Engine:
    """A listener over a journal. ``heard`` and ``time``: monotonic and wall seconds at the start.

    ``emit`` takes each reading; it is the journal itself, unless somebody wants to see it pass.
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
    ) -> None:
        self.journal = journal
        self._emit = emit or journal.append
        self._remembered = Remembered(journal)
        self._told: set[tuple[Address, int]] = set()
        self._lost = 0
        self.devices = Devices(
            self._remembered,
            room=room,
            tell=tell,
            started=heard,
            started_time=time,
            admitted_today=journal.tables.admitted(int(time // DAY)),
        )
        self.devices.configure(config.devices, config.unlisted.unlisted)
        self.listener = Listener(self.devices, self._emit)
        self.hear = self.listener.hear
        self.let_go = self.listener.let_go

    def outcomes(self) -> dict[str, int]:
        """How many advertisements became what."""
        return {str(outcome): self.listener.outcomes[outcome] for outcome in Outcome}

    def note_lasting(self, now: float, time: float) -> None:
        """Keep when the frames that devices go on with were last heard, so that a restart does not double them. ``now``
        and ``time``: monotonic and wall, of one moment, because the wall clock may have been set since the start.
        """
        last: dict[str, dict[str, float]] = {}
        for mac, identity, wall in self._remembered.lasting(time - UNCOUNTED_TTL):
            last.setdefault(mac_text(mac), {})[identity.hex()] = wall
        for mac, identity, heard in self.devices.lasting(now):
            last.setdefault(mac_text(mac), {})[identity.hex()] = round(heard + time - now, 1)
        self.journal.tables.note(LASTING_NOTE, json.dumps(last, separators=(",", ":")))

    def note_hearing(self, time: float) -> None:
        """Add to the record of hearing what each proxy heard since the last call."""
        hour = int(time // 3600)
        rows = [
            Hearing(counted.proxy, address, hour, counted.frames, counted.alone, counted.of)
            for address, device in self.devices.by_address.items()
            for counted in device.routes.counted()
        ]
        if rows:
            self.journal.tables.record_hearing(rows)

    async def unseal(self) -> int:
        """Read the kept frames of every device that has a bindkey now. Returns how many became readings.

        ProxyListenerError where these cannot be committed: the frames stay kept, for the next call.
        """
        opened = 0
        for mac in list(self.journal.sealed_counts):
            device = self.devices.by_address.get(mac)
            if device is None or not device.keys:
                continue
            if not self._told:
                self._lost = self.journal.storage.lost
            done = await self._tell_kept(device)
            if done:
                # Forgotten only when the readings are committed: after a crash in between they are read again, and
                # what is authenticated is known. Legacy frames prove nothing; theirs may then be in history twice.
                flushed, why = await self.journal.flush(), self.journal.storage.error
                if self.journal.storage.lost > self._lost:
                    # Theirs may be among them, also since an earlier call: all are told anew.
                    self._told.clear()
                    flushed, why = False, "readings were lost"
                if not flushed:
                    raise ProxyListenerError(f"frames kept for {mac_text(mac)} stay kept, without readings: {why}")
                self.journal.tables.unseal(mac, done)
                # Also those that an earlier call told and could not commit.
                told = self._told & {(mac, id_) for id_ in done}
                self._told -= told
                log.info("kept frames decoded", mac=mac_text(mac), device=device.name, readings=len(told))
                opened += len(told)
        return opened

    async def _tell_kept(self, device: Device) -> list[int]:
        """Tell the readings of its kept frames, each once. The frames that need not be kept longer."""
        done: list[int] = []
        async for frame in self.journal.reader.sealed(device.address):
            if (device.address, frame.id) not in self._told:
                try:
                    reading = unseal(self.listener, device, frame)
                except NoReadingError as error:
                    if error.outcome is Outcome.WRONG_BINDKEY:
                        continue
                else:
                    self._emit(reading)
                    self._told.add((device.address, frame.id))
            done.append(frame.id)
        return done


def _read_lasting(text: str | None) -> dict[Address, dict[bytes, float]]:
    if text is None:
        return {}
    try:
        return {
            parse_mac(mac): {bytes.fromhex(identity): float(time) for identity, time in frames.items()}
            for mac, frames in json.loads(text).items()
        }
    except (ValueError, AttributeError, TypeError):
        log.warning("a note in the history is damaged; frames of the last minutes may be told twice", note=LASTING_NOTE)
        return {}
