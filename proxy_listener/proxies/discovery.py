"""Finds ESPHome nodes by mDNS: records in, sightings out.

::

    PTR  _esphomelib._tcp.local.           -> kitchen-proxy._esphomelib._tcp.local.
    SRV  kitchen-proxy._esphomelib._tcp... -> kitchen-proxy.local. 6053
    TXT  version config_hash mac api_encryption ...       any may be missing
    A    kitchen-proxy.local.              -> 192.0.2.10

Anybody may send mDNS records, so what they say is a hint (docs/protocol/threats.md#l4). Invariants: the set of nodes is
bounded, a flood of records costs one look at each node per 0.1 s, and no record by itself starts or ends a connection.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs
import structlog
from zeroconf import BadTypeInNameException, InterfaceChoice, RecordUpdate, RecordUpdateListener, Zeroconf
from zeroconf._dns import (
    DNSPointer,
    DNSQuestion,
    DNSRecord,
    DNSText,
)  # the package exports them, but not for type checkers
from zeroconf._protocol.outgoing import DNSOutgoing  # likewise
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.text import SHARED_BY, printable
from proxy_listener.proxies.timing import ProxyTiming

log = structlog.get_logger()

SERVICE = "_esphomelib._tcp.local."
LIMIT = 256
"""Nodes without an entry that are kept; also, unknown ones that are looked at in one gathering."""
_UNKNOWN = 16
"""Unknown nodes that are looked at in one gathering when ``LIMIT`` are kept: one of them may have an entry."""
_ADDRESSES = 4
"""Addresses of one node: without a goodbye, its old and new ones are in the cache together, newest first."""
_RESOLVING = 8
"""Nodes whose missing records are asked for at once."""
_GATHER = 0.1
"""Seconds over which records are gathered before a node is looked at."""
_LONGEST_NAME = 63 + 1 + len(SERVICE)
_A, _PTR, _TXT, _AAAA, _SRV = 1, 12, 16, 28, 33
"""Record types (RFC 1035, 2782, 3596)."""
_TXT_MAC = re.compile(rb"\x10mac=([0-9A-Fa-f]{12})")
"""In a TXT record: the length of this entry, 16, and the entry."""
_TWINS = 4
"""Nodes of one name that are remembered."""
_TWINS_WITHIN = 600_000.0
"""Milliseconds within which two nodes announced themselves under one name. Replacing a node takes longer."""
_IN, _QUERY = 1, 0
"""Class Internet; the flags of a query."""
_SAYS_ENCRYPTED = "2024"
"""Firmware of this year and later says in its TXT record that a key is set; some older firmware does not."""


@attrs.frozen
class Sighting:
    """What mDNS says of a node. ``encrypts``: a key is set; None where it does not say (no TXT, or old firmware).

    ``shared``: it is no ESP32, but a proxy served again by a program such as this one.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    mac: Address | None = None
    version: str = ""
    config_hash: str = ""
    encrypts: bool | None = None
    unprovisioned: bool = False
    shared: bool = False

    @property
    def firmware(self) -> str:
        """For which the node's answer whether it is a proxy stays valid; empty where mDNS does not say."""
        return f"{self.version}/{self.config_hash}" if self.version or self.config_hash else ""


class Discovery(RecordUpdateListener):
    """Browses for nodes on one shared AsyncZeroconf.

    ``seen(sighting)`` is called when a node is found, changes or announces itself again; ``gone(name)`` after its
    goodbye or when its record expired; ``is_kept(sighting)`` says whether it is kept beyond ``LIMIT``.
    """

    def __init__(
        self,
        zeroconf: AsyncZeroconf,
        seen: Callable[[Sighting], None],
        gone: Callable[[str], None],
        is_kept: Callable[[Sighting], bool],
        timing: ProxyTiming,
    ) -> None:
        super().__init__()
        self._zeroconf = zeroconf
        self._seen, self._gone, self._is_kept = seen, gone, is_kept
        self._timing = timing
        self.sightings: dict[str, Sighting] = {}
        self.refused = 0
        self._pending: set[str] = set()
        self._unlisted: set[str] = set()
        self._hosts: dict[str, set[str]] = {}
        self._macs: dict[str, dict[Address, float]] = {}
        self._dirty: set[str] = set()
        self._left: set[str] = set()
        self._resolving: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._browser: AsyncServiceBrowser | None = None

    def start(self) -> None:
        """Ask the network, and listen from now on."""
        self._zeroconf.zeroconf.async_add_listener(self, None)
        # The browser asks, at growing intervals and before records expire. It does not call back when a node returns
        # with the records that it had, so the records themselves are listened to.
        self._browser = AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE, handlers=[_ignore])

    async def stop(self) -> None:
        """Stop asking and listening. The AsyncZeroconf is not closed here."""
        if self._browser is not None:
            await self._browser.async_cancel()
            self._browser = None
            self._zeroconf.zeroconf.async_remove_listener(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._resolving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def async_update_records(self, _zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        """Mark the nodes that the records of one packet are about."""
        for update in records:
            record = update.new
            kind = record.type
            if kind == _PTR:
                if isinstance(record, DNSPointer) and record.name.lower() == SERVICE:
                    self._pointer(record.alias, record, now)
            elif kind in {_SRV, _TXT}:
                key = record.name.lower()
                if key in self.sightings or key in self._pending:
                    self._mark(key)
                    if isinstance(record, DNSText):
                        self._note_mac(key, record)
            elif kind in {_A, _AAAA} and not record.is_expired(now):
                for key in self._hosts.get(record.name.lower(), ()):
                    self._mark(key)

    def _note_mac(self, key: str, record: DNSText) -> None:
        """Two nodes of one name overwrite each other's records in the cache: each is looked at as it comes."""
        found = _TXT_MAC.search(record.text)
        if found is None:
            return
        if key not in self._macs and len(self._macs) >= 2 * LIMIT:
            del self._macs[next(iter(self._macs))]
        with suppress(ValueError):
            mac = parse_mac(found[1].decode())
            macs = self._macs.setdefault(key, {})
            macs.pop(mac, None)
            macs[mac] = record.created
            if len(macs) > _TWINS:
                del macs[next(iter(macs))]

    def others_of_its_name(self, mac: Address) -> tuple[str, Sequence[Address]] | None:
        """The name under which this node was announced, and other nodes lately, too; None where it has its own name."""
        for key, macs in self._macs.items():
            if mac in macs:
                others = [other for other, at in macs.items() if other != mac and abs(at - macs[mac]) < _TWINS_WITHIN]
                return (_node_name(key), others) if others else None
        return None

    def ask(self, node: str | None = None) -> None:
        """Ask the network where this node is now, or which nodes there are.

        A node that got another address does not always say so, and the browser asks again only when records expire.
        """
        question = DNSOutgoing(_QUERY)
        if node is None:
            question.add_question(DNSQuestion(SERVICE, _PTR, _IN))
        else:
            key = f"{node}.{SERVICE}".lower()
            question.add_question(DNSQuestion(key, _SRV, _IN))
            for host in [host for host, keys in self._hosts.items() if key in keys]:
                question.add_question(DNSQuestion(host, _A, _IN))
                question.add_question(DNSQuestion(host, _AAAA, _IN))
        self._zeroconf.zeroconf.async_send(question)

    def async_update_records_complete(self) -> None:
        """Nothing: the records are looked at a little later, all together."""

    def _pointer(self, alias: str, record: DNSRecord, now: float) -> None:
        key = alias.lower()
        if not key.endswith("." + SERVICE) or len(key) > _LONGEST_NAME:
            return
        if record.is_expired(now) or record.ttl == 0:
            if key in self.sightings or key in self._pending:
                self._left.add(key)
                self._mark(key)
            return
        self._left.discard(key)
        if key not in self.sightings and key not in self._pending:
            if len(self._pending) >= (_UNKNOWN if len(self._unlisted) >= LIMIT else LIMIT):
                self.refused += 1
                return
            self._pending.add(key)
        self._mark(key)

    def _mark(self, key: str) -> None:
        self._dirty.add(key)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._look)

    def _look(self) -> None:
        self._timer = None
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            if key in self._left:
                self._left.discard(key)
                self._forget(key)
            elif not self._read(key):
                self._resolve(key)

    def _read(self, key: str) -> bool:
        """Read a sighting from the cache. False where records are missing."""
        try:
            info = AsyncServiceInfo(SERVICE, key)
        except BadTypeInNameException:
            self._forget(key)
            return True
        info.load_from_cache(self._zeroconf.zeroconf)
        return self._sight(key, info)

    def _sight(self, key: str, info: AsyncServiceInfo) -> bool:
        addresses = _addresses(info)
        if not info.port or not addresses:
            return False
        sighting = _sighting(_node_name(key), addresses, info)
        self._pending.discard(key)
        if not self._is_kept(sighting):
            if key not in self._unlisted and len(self._unlisted) >= LIMIT:
                self.refused += 1
                return True
            self._unlisted.add(key)
        self.sightings[key] = sighting
        if info.server:
            self._hosts.setdefault(info.server.lower(), set()).add(key)
        self._seen(sighting)
        return True

    def _resolve(self, key: str) -> None:
        """Ask for the records that are missing, of a few nodes at a time."""
        if key in self._resolving:
            return
        if len(self._resolving) >= _RESOLVING:
            self._pending.discard(key)
            return
        task = asyncio.get_running_loop().create_task(self._request(key))
        self._resolving[key] = task
        task.add_done_callback(lambda _task: self._resolving.pop(key, None))

    async def _request(self, key: str) -> None:
        info = AsyncServiceInfo(SERVICE, key)
        with suppress(OSError):
            await info.async_request(self._zeroconf.zeroconf, self._timing.resolve * 1000)
        if not self._sight(key, info):
            self._pending.discard(key)

    def _forget(self, key: str) -> None:
        self._pending.discard(key)
        self._unlisted.discard(key)
        self._macs.pop(key, None)
        if self.sightings.pop(key, None) is not None:
            for host, keys in list(self._hosts.items()):
                keys.discard(key)
                if not keys:
                    del self._hosts[host]
            self._gone(_node_name(key))


def open_zeroconf(interfaces: Sequence[str]) -> AsyncZeroconf:
    """The one AsyncZeroconf of the process: on these addresses, or on all. OSError where there is no network."""
    for address in interfaces:
        # Tried first, because zeroconf leaves sockets open where it fails.
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    try:
        return AsyncZeroconf(interfaces=list(interfaces) if interfaces else InterfaceChoice.All)
    except RuntimeError as error:
        # What zeroconf raises where no interface is up, not even loopback.
        raise OSError(errno.ENETDOWN, "no network interface is up") from error


def _ignore(**_change: object) -> None:
    """The browser wants a handler."""


def _node_name(key: str) -> str:
    return printable(key[: -len(SERVICE) - 1])


def _addresses(info: AsyncServiceInfo) -> tuple[str, ...]:
    return tuple(dict.fromkeys(info.parsed_scoped_addresses()))[:_ADDRESSES]


def _sighting(name: str, addresses: tuple[str, ...], info: AsyncServiceInfo) -> Sighting:
    properties = info.properties

    def text(key: bytes) -> str:
        return printable((properties.get(key) or b"").decode("utf-8", "replace"))

    mac = None
    with suppress(ValueError):
        mac = parse_mac(text(b"mac"))
    supported = b"api_encryption_supported" in properties
    encrypts: bool | None = None
    if b"api_encryption" in properties:
        encrypts = True
    elif supported or text(b"version")[:4] >= _SAYS_ENCRYPTED:
        encrypts = False
    return Sighting(
        name,
        addresses,
        info.port or 0,
        mac,
        text(b"version"),
        text(b"config_hash"),
        encrypts,
        unprovisioned=supported and not encrypts,
        shared=SHARED_BY.encode() in properties,
    )
