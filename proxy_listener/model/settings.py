"""What the core tables of ``devices.toml`` say, as values: one class per table, its fields named as the keys are.

Built and checked by :mod:`proxy_listener.config`; durations are seconds here. A sink's table has its class in the
sink's own module.
"""

from typing import Literal, TypeAlias

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.secret import Secret
from proxy_listener.model.timing import DAY

Accept: TypeAlias = Literal["listed", "keyed", "all"]


@attrs.frozen
class ServiceSettings:
    """``[service]``: ``coalesce``, seconds between looks at the proxies' sockets at most; 0 wakes for every packet."""

    coalesce: float = 0.05


@attrs.frozen
class DiscoverySettings:
    """``[discovery]``: which nodes that mDNS names are spoken to. ``dial_in``: ``host:port`` where nodes can call."""

    accept: Accept = "keyed"
    noise_psk: Secret | None = None
    interfaces: tuple[str, ...] = ()
    dial_in: str | None = None


@attrs.frozen
class ProxySettings:
    """``[[proxy]]``: a room's name, a key of its own, an address where mDNS does not reach."""

    name: str
    mac: Address | None = None
    room: str | None = None
    noise_psk: Secret | None = None
    password: Secret | None = None
    host: str | None = None
    port: int = 6053
    insist: bool = False


@attrs.frozen
class DeviceSettings:
    """``[[device]]``: a device's name, its bindkeys (newest first), and how it is read.

    ``read`` is seconds between active reads, None for ``"off"``; ``read_limit`` is connections a day.
    """

    mac: Address
    name: str | None = None
    bindkey: tuple[Secret, ...] = ()
    allow_plaintext: bool = False
    prefer: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    read: float | None = DAY
    read_limit: int = 24


@attrs.frozen
class DevicesSettings:
    """``[devices]``: what becomes of devices that have no entry."""

    unlisted: Literal["emit", "ignore"] = "emit"


@attrs.frozen
class HistorySettings:
    """``[history]``: where readings are kept (relative to the state directory), for how many seconds, and in how many
    bytes at most. ``commit``: seconds that a reading waits for others at most, where nobody acts on it at once.
    """

    path: str = "history.db"
    keep: float = 400 * DAY
    sealed: float = 14 * DAY
    max_size: int = 4_000_000_000
    commit: float = 2.0


@attrs.frozen
class ShareSettings:
    """``[share]``: each proxy in use is served again as an ESPHome node, on ``listen``, an address of this machine;
    None: none is.

    ``noise_psk`` is compulsory beyond loopback. ``port``: the first proxy's; each has its own. ``proxies``: names, all
    where empty. ``clients``: of one node. ``slots``: connection slots that clients may use: all but one, all, none.
    ``identity``: a MAC and a name of its own, or the proxy's.
    """

    listen: str | None = None
    noise_psk: Secret | None = None
    port: int = 6100
    proxies: tuple[str, ...] = ()
    clients: int = 8
    slots: Literal["spare", "all", "none"] = "spare"
    identity: Literal["own", "proxy"] = "own"


@attrs.frozen
class WebSettings:
    """``[web]``: ``listen`` is ``host:port``; without it there is the control socket only.

    ``token`` is compulsory on anything but loopback. ``hosts`` are further names under which the page is reached.
    """

    listen: str | None = None
    token: Secret | None = None
    hosts: tuple[str, ...] = ()
