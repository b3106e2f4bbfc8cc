"""The status of proxies and devices, as the control socket, the page, metrics and verbs show it.

Times named ``heard`` and ``since`` are monotonic; ``age`` and
``uptime`` are seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum, unique

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.models import Model
from proxy_listener.model.reading import Value

INTERNAL = {"internal": True}
"""Metadata of fields that are for the service's own parts: no document shows them."""


@unique
class ProxyState(StrEnum):
    """How a proxy is. Each state has one cause and one thing that a person can do about it."""

    CONNECTING = "connecting"
    LIVE = "live"
    SILENT = "silent"  # connected and subscribed, but nothing comes while others hear
    HELD = "held"  # another client has the stream (first wins, firmware before 2026.7)
    TAKEN = "taken"  # another client took the stream (newest wins, firmware from 2026.7)
    WRONG_KEY = "wrong_key"
    NEEDS_KEY = "needs_key"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105  the name of a state
    NOT_ENCRYPTED = "not_encrypted"  # a key is configured and the node speaks plaintext: never downgraded
    NOT_A_PROXY = "not_a_proxy"
    NO_RAW_STREAM = "no_raw_stream"  # firmware before 2023.6: no raw advertisements
    WRONG_NODE = "wrong_node"  # another MAC than the one expected answers there
    FULL = "full"  # the node's client limit is reached
    UNREACHABLE = "unreachable"
    WEDGED = "wedged"  # the scanner gives nothing after every step of the ladder
    BENCHED = "benched"  # misbehaves: sends more or other than a radio can
    NOT_ACCEPTED = "not_accepted"  # found by mDNS, and the configuration does not admit it
    INCOMPATIBLE = "incompatible"  # speaks another API version


NOT_EXPECTED = frozenset({ProxyState.NOT_A_PROXY, ProxyState.NOT_ACCEPTED})
"""States of nodes that are not expected to send advertisements: other devices of the network."""


@attrs.frozen
class SharedClient:
    """One client of a shared node. ``links``: the devices that it is connected to through the proxy."""

    name: str
    address: str
    age: float  # seconds since it connected
    subscribed: bool  # it gets the advertisements
    dropped: int  # messages of advertisements that it lost because it reads too slowly
    links: tuple[Address, ...] = ()


@attrs.frozen
class SharedNodeStatus:
    """How a proxy is served again. ``problem``: why it is not, in words; empty where it is."""

    name: str
    port: int
    problem: str
    clients: tuple[SharedClient, ...] = ()


@attrs.frozen
class ProxyStatus:
    """One node, as it is now."""

    name: str
    room: str
    mac: Address | None
    state: ProxyState
    cause: str  # why it is in this state, in words
    advice: str  # what a person can do, empty where nothing is wrong
    address: str | None  # host:port last used; None where it called us
    version: str | None  # ESPHome version
    encrypted: bool | None = None  # Noise; None while not known
    active: bool | None = None  # can connect to devices (flag 2)
    scanner: str | None = None  # the last scanner state and mode that it reported
    advertisements: int = 0  # since start
    rate: float = 0.0  # advertisements per second, smoothed over a minute
    heard_age: float | None = None  # seconds since its last advertisement
    uptime: float | None = None  # seconds that the stream has been up
    slots_free: int | None = None
    slots_limit: int | None = None
    connecting: bool = False  # a connection to a device is being set up: the room is deaf meanwhile
    wifi_rssi: int | None = None
    called_from: str | None = None  # its address, where it opened this session itself
    round_trip: float = attrs.field(default=0.0, metadata=INTERNAL)  # seconds that it takes to answer; 0: not known
    outcomes: Mapping[str, int] = attrs.field(factory=dict)
    shared: SharedNodeStatus | None = None  # None where it is not to be shared


@attrs.frozen
class DialInStatus:
    """The port that nodes call. ``error``: why it is not open; ``refused``: calls since start that came to nothing."""

    listen: str
    error: str | None
    refused: int


@unique
class KeyState(StrEnum):
    """How a device's bindkey is, for people."""

    NOT_NEEDED = "not_needed"  # plain frames only
    MISSING = "missing"  # sends encrypted frames and no bindkey is configured
    WAITING = "waiting"  # a bindkey is configured and no encrypted frame came yet
    VERIFIED = "verified"
    WRONG = "wrong"


@attrs.frozen
class Heard:
    """How one proxy hears one device."""

    proxy: str
    room: str
    rssi: float  # smoothed, dBm
    age: float  # seconds since last heard
    share: float  # of the device's frames that this proxy heard, 0..1
    address_type: int
    missed: float = attrs.field(default=0.0, metadata=INTERNAL)  # dB for what others heard since, and this one did not


@attrs.frozen
class DeviceStatus:
    """One device, as it is now. ``values`` is the live state, quantity -> (value, seconds since 1970)."""

    mac: Address
    name: str
    model: str
    kind: str
    listed: bool
    room: str | None
    available: bool
    heard_age: float | None
    key: KeyState
    trust: str | None
    values: Mapping[str, tuple[Value, float]]
    heard: Sequence[Heard]
    readings: int
    sleepy: bool
    interval: float  # seconds within which the model is expected to be heard
    product_id: int | None
    counter: int | None
    readable: bool = False  # its model can be read over a connection
    read_interval: float | None = attrs.field(default=None, metadata=INTERNAL)  # seconds between scheduled reads
    advertises: bool = attrs.field(default=True, metadata=INTERNAL)  # it was heard to send readings by itself
    read_age: float | None = None  # seconds since it was read last
    read_due: float | None = None  # seconds until it is read next; below 0: when a proxy is free and hears it well
    established: bool = True  # listed, or heard for so long that Home Assistant may be told of it
    product: Model | None = attrs.field(default=None, repr=False, metadata=INTERNAL)  # what it is known to send


@attrs.frozen
class Reloaded:
    """The configuration that the service has read again. ``note``: what takes effect with the next start only."""

    path: str
    proxies: int
    devices: int
    note: str


@attrs.frozen
class Newcomer:
    """A device without an entry that was heard and is not admitted yet."""

    mac: Address
    model: str
    encrypted: bool
    proxy: str  # that heard it last
    room: str
    rssi: int | None
    moments: int  # so many times it was heard
    heard_for: float  # seconds from the first to the last of them
    heard_age: float
    waits: str  # why it is not admitted yet, in words


@attrs.frozen
class Admissions:
    """The admission of devices without an entry: how many wait, how many can be admitted now, and whether some wait
    because none can.
    """

    newcomers: int = 0
    left: int = 0
    full: bool = False


@attrs.frozen
class ReadTimes:
    """When a device was last read over a connection, and when the next read is due, in seconds since 1970.

    ``last`` None: never. ``due`` None: not read by schedule; in the past: the read waits for a proxy or a good signal.
    """

    last: float | None
    due: float | None


@attrs.frozen
class View:
    """What a sink or the page may ask about the house, as callables that the service gives.

    ``skipped``: what frames held beside what was read, and how often. ``unlisted``: whether devices without an entry
    are shown. ``behind``: durable sink -> rows of the journal that wait for it. ``reads``: how active reads ended, and
    how many did since start. ``admissions``: of devices without an entry. ``dial_in``: the
    port that nodes call, None where there is none. ``page``: the URL under which other machines
    reach the page.
    """

    devices: Callable[[], Sequence[DeviceStatus]]
    proxies: Callable[[], Sequence[ProxyStatus]]
    outcomes: Callable[[], Mapping[str, int]]
    skipped: Callable[[], Mapping[str, int]] = dict
    unlisted: Callable[[], bool] = lambda: True
    behind: Callable[[], Mapping[str, int]] = dict
    reads: Callable[[], Mapping[str, int]] = dict
    admissions: Callable[[], Admissions] = Admissions
    dial_in: Callable[[], DialInStatus | None] = lambda: None
    page: Callable[[], str | None] = lambda: None
