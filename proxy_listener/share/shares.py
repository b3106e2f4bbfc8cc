"""All shared nodes: one for each proxy in use, as long as its stream is ours.

In: proxies and their changes of state. Out: their shared nodes, announced by mDNS. A proxy that is gone, or whose
stream another client has, has none: its clients see what they would see of the node itself.
"""

import asyncio
import errno
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Protocol

import ifaddr
import structlog
from aioesphomeapi.core import APIConnectionError
from google.protobuf.message import Message
from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from proxy_listener.model.advertisement import Address
from proxy_listener.model.rate import GuessLimit
from proxy_listener.model.settings import ShareSettings
from proxy_listener.model.status import ProxyState, SharedNodeStatus
from proxy_listener.model.text import SHARED_BY, loopback
from proxy_listener.node.announce import service_info
from proxy_listener.node.settings import NodeSettings
from proxy_listener.share.node import IDLE, Presented, SharedNode
from proxy_listener.share.ports import Ports

log = structlog.get_logger()

SHARING = "proxy-listener"
"""The value of the TXT record :data:`SHARED_BY`."""

LOCAL = 0x02 << 40
"""The bit of a MAC that is not of a vendor's."""
GROUPED = 0x04 << 40
"""Turned over where that bit is set already."""

LABEL = 40
"""Characters of a node's name that are kept: ESPHome's has 31 at most."""

LOOK = 1.0
"""Seconds between looks at the proxies; a change of state is looked at once."""

AGAIN = 30.0
"""Seconds after which a port that could not be had is tried again."""

_STAYS = frozenset({ProxyState.LIVE, ProxyState.SILENT, ProxyState.WEDGED})
"""States in which the session is up and the stream is ours."""

_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104  names of what the user configured


class RealNode(Protocol):
    """What a real node says it is."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def mac(self) -> Address | None:
        """Its Wi-Fi MAC."""

    @property
    def bluetooth_mac(self) -> Address | None:
        """Its adapter's."""

    @property
    def version(self) -> str:
        """ESPHome's."""

    @property
    def flags(self) -> int:
        """Of its Bluetooth proxy."""

    @property
    def area(self) -> str:
        """The room that it suggests."""

    @property
    def model(self) -> str:
        """Its board."""

    @property
    def manufacturer(self) -> str:
        """The board's."""

    @property
    def project(self) -> tuple[str, str]:
        """Name and version."""

    @property
    def compiled(self) -> str:
        """When."""


class SharedProxy(Protocol):
    """The part of a proxy that is used here."""

    @property
    def name(self) -> str:
        """Its display name."""

    @property
    def room(self) -> str:
        """Its room."""

    @property
    def state(self) -> ProxyState:
        """How it is."""

    @property
    def node(self) -> RealNode | None:
        """What its node said; None before that."""

    @property
    def links(self) -> Collection[Address]:
        """Devices to which reads of our own are connected."""

    @property
    def slots(self) -> Any:
        """``free`` and ``limit``; None where it did not tell."""

    @property
    def scanner(self) -> Any:
        """``state``, ``mode`` and ``configured_mode``; None where it did not tell."""

    def send(self, message: Message) -> None:
        """Send to the node. APIConnectionError where there is no session."""


class Share:
    """The tap of one proxy: passes on to its shared node, while there is one."""

    def __init__(
        self, proxy: SharedProxy, busy: Callable[["Share", Address], bool], held: Callable[[Address], bool]
    ) -> None:
        self.proxy = proxy
        self._held = held
        self._busy = busy
        self.node: SharedNode | None = None
        self.problem = ""
        self._first_mode: int | None = None
        self.retry = 0.0
        self.record: tuple[AsyncZeroconf, AsyncServiceInfo] | None = None
        self.unannounced: AsyncZeroconf | None = None
        # One for each node: Home Assistant tries the zero key once at every node that it discovers.
        self.guesses = GuessLimit()

    def advertisements(self, message: Message) -> None:
        """As :class:`proxy_listener.proxies.tap.Tap` says. HOT PATH."""
        if self.node is not None:
            self.node.advertisements(message)

    def answer(self, message: Message) -> None:
        """An answer of the node."""
        if self.node is not None:
            self.node.answer(message)

    @property
    def held(self) -> Collection[Address]:
        """Devices that clients are connected to."""
        return self.node.held if self.node is not None else ()

    @property
    def connecting(self) -> bool:
        """A client opens a connection."""
        return self.node is not None and self.node.connecting

    def send(self, message: Message) -> None:
        """To the real node; lost where its session is over, which ends the clients' links anyway."""
        try:
            self.proxy.send(message)
        except APIConnectionError:
            return

    def slots(self) -> tuple[int, int]:
        """Free and all."""
        slots = self.proxy.slots
        return (slots.free, slots.limit) if slots is not None else (0, 0)

    def own(self) -> Collection[Address]:
        """Devices of our own reads."""
        return self.proxy.links

    def holds(self, address: Address) -> bool:
        """A client of any shared node is connected to the device."""
        return self._held(address)

    def busy(self, address: Address) -> bool:
        """A read of our own, or a client of another shared node, is connected to the device."""
        return self._busy(self, address)

    def scanner(self) -> tuple[int, int, int | None]:
        """State, mode, configured mode: of firmware that does not tell it (2025.6), the first mode that it had."""
        told = self.proxy.scanner
        if told is None or told.state is None or told.mode is None:
            return IDLE
        if self._first_mode is None:
            self._first_mode = int(told.mode)
        configured = getattr(told, "configured_mode", None)
        return int(told.state), int(told.mode), self._first_mode if configured is None else int(configured)


class Shares:
    """``proxies()``: every proxy there is; ``zeroconf()``: the process's, None while there is no network."""

    def __init__(
        self,
        settings: ShareSettings,
        state: Path | None,
        proxies: Callable[[], Iterable[SharedProxy]],
        zeroconf: Callable[[], AsyncZeroconf | None],
    ) -> None:
        self.settings = settings
        self._ports = Ports(state)
        self._proxies = proxies
        self._zeroconf = zeroconf
        self._shares: dict[str, Share] = {}
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    def tap(self, proxy: SharedProxy) -> Share | None:
        """What a proxy's next session passes its messages to; None where nothing is shared."""
        if self.settings.listen is None:
            return None
        share = self._shares.get(proxy.name)
        if share is None or share.proxy is not proxy:
            if share is not None:
                self._retire(share)
            share = self._shares[proxy.name] = Share(proxy, self._busy, self.holds)
        return share

    def holds(self, address: Address) -> bool:
        """Whether a client of any shared node is connected to a device."""
        return any(address in share.held for share in self._shares.values())

    def _busy(self, asking: Share, address: Address) -> bool:
        """A device takes one connection, through whichever proxy."""
        others = (share for share in self._shares.values() if share is not asking)
        return any(address in proxy.links for proxy in self._proxies()) or any(address in one.held for one in others)

    def changed(self) -> None:
        """A proxy changed its state: look at it now."""
        self._changed.set()

    def ours(self, name: str, mac: Address | None) -> bool:
        """Whether a node that mDNS shows as shared is one of these."""
        nodes = [share.node.presented for share in self._shares.values() if share.node is not None]
        return any(mac == node.mac or name in {node.name, _instance(node.name)} for node in nodes)

    def status(self, proxy: str) -> SharedNodeStatus | None:
        """How a proxy is shared; None where it is not to be."""
        share = self._shares.get(proxy)
        if share is None or not self._wanted(share.proxy):
            return None
        node = share.node
        if node is None:
            return SharedNodeStatus("", 0, share.problem or "the proxy is not live yet")
        return SharedNodeStatus(node.presented.name, node.port, "", tuple(node.clients()))

    async def run(self) -> None:
        """Serve, until cancelled."""
        try:
            while True:
                self._changed.clear()
                await self._look()
                try:
                    async with asyncio.timeout(LOOK):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        finally:
            await asyncio.gather(*(self._close(share) for share in self._shares.values()), return_exceptions=True)

    async def _look(self) -> None:
        here = {proxy.name: proxy for proxy in self._proxies()}
        for name, share in list(self._shares.items()):
            if here.get(name) is not share.proxy or not self._wanted(share.proxy):
                await self._close(share)
                if here.get(name) is not share.proxy:
                    self._shares.pop(name, None)
                continue
            state = share.proxy.state
            if share.node is not None and state not in _STAYS:
                await self._close(share)
                share.problem = f"the proxy is {state.replace('_', ' ')}"
            elif share.node is None and state is ProxyState.LIVE:
                await self._open(share)
            if share.node is not None:
                # One timer for all: fifty of them would wake the process at fifty moments of a second.
                share.node.tick()
                await self._announce(share)

    def _wanted(self, proxy: SharedProxy) -> bool:
        return not self.settings.proxies or proxy.name in self.settings.proxies

    async def _open(self, share: Share) -> None:
        now = asyncio.get_running_loop().time()
        real = share.proxy.node
        settings, listen = self.settings, self.settings.listen
        if now < share.retry or real is None or real.mac is None or listen is None:
            return
        node = SharedNode(
            self._presented(share.proxy, real, real.mac),
            share,
            settings.noise_psk,
            clients=settings.clients,
            slots=settings.slots,
            guesses=share.guesses,
        )
        port = 0
        try:
            port = self._ports.of(real.mac, settings.port)
            await node.start(listen, port)
        except (OSError, ValueError) as error:
            share.retry = now + AGAIN
            why = _why(error, listen, port)
            if share.problem != why:
                share.problem = why
                log.warning("a proxy cannot be shared", proxy=share.proxy.name, error=why)
            return
        share.node, share.problem = node, ""
        log.info("proxy is shared", proxy=share.proxy.name, node=node.presented.name, port=node.port)

    def _presented(self, proxy: SharedProxy, real: RealNode, mac: Address) -> Presented:
        own = self.settings.identity == "own"
        bluetooth = real.bluetooth_mac or mac + 2
        name = _label(real.name)
        others = (share.node for share in self._shares.values() if share.node is not None)
        if any(_instance(name) == _instance(other.presented.name) for other in others):
            name = f"{name}-{mac & 0xFFFFFF:06x}"
        return Presented(
            name=_instance(name) if own else name,
            friendly_name=f"{proxy.room} (shared)",
            mac=_local(mac) if own else mac,
            bluetooth_mac=_local(bluetooth) if own else bluetooth,
            version=real.version,
            flags=real.flags,
            area=real.area,
            model=real.model,
            manufacturer=real.manufacturer,
            project=real.project,
            compiled=real.compiled,
        )

    async def _announce(self, share: Share) -> None:
        """By mDNS, on the zeroconf of now: it is another one after a change of the network."""
        node, zeroconf, listen = share.node, self._zeroconf(), self.settings.listen
        if node is None or zeroconf is None or listen is None or (share.record and share.record[0] is zeroconf):
            return
        if share.unannounced is zeroconf:
            return
        shown = node.presented
        record = service_info(
            NodeSettings(shown.name, shown.mac, shown.friendly_name, self.settings.noise_psk, area=shown.area),
            node.firmware,
            _addresses(listen),
            node.port,
            instance=_instance(shown.name),
            more={SHARED_BY: SHARING},
        )
        share.record = zeroconf, record
        try:
            await zeroconf.async_register_service(record, cooperating_responders=True, strict=False)
        except ZeroconfError as error:
            # Without mDNS it is reached at its port; the other shared nodes go on.
            share.record = None
            share.unannounced = zeroconf
            log.warning("a shared node cannot be announced", node=shown.name, error=type(error).__name__)

    async def _close(self, share: Share) -> None:
        """Links lost, sessions closed, a goodbye by mDNS."""
        node, share.node = share.node, None
        record, share.record = share.record, None
        if record is not None:
            zeroconf, info = record
            await zeroconf.async_unregister_service(info)
        if node is not None:
            await node.stop()
            log.info("proxy is not shared any more", proxy=share.proxy.name, node=node.presented.name)

    def _retire(self, share: Share) -> None:
        """A proxy of this name began anew: close what the former one has."""
        task = asyncio.get_running_loop().create_task(self._close(share))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _instance(name: str) -> str:
    """The name in mDNS. Never the real node's, whose record it would replace."""
    return name if name.endswith("-shared") else f"{name}-shared"


def _label(name: str) -> str:
    """A node's name as a DNS label: the name is the node's word, and a label has 63 bytes at most (RFC 1035)."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:LABEL] or "node"


def _local(mac: Address) -> Address:
    return mac ^ GROUPED if mac & LOCAL else mac | LOCAL


def _addresses(listen: str) -> list[str]:
    """What is announced: the address, or all of this machine's that others can reach."""
    if listen not in _ANY:
        return [listen]
    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return [address for address in found if not loopback(address)] or ["127.0.0.1"]


def _why(error: Exception, listen: str, port: int) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} is used by another program; end that, or set another [share] port"
    if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
        return f"[share] listen: {listen} is no address of this machine"
    return str(error)
