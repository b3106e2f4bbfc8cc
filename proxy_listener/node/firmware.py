"""What one generation of ESPHome firmware does, as a value, and the generations that differ.

Invariant: a difference between generations is a field here, never an ``if`` on a version number.
Sources: docs/protocol/esphome-proxy.md, from the firmware's C++ of the releases from 2023.6 to 2026.10.
"""

from enum import Enum, IntFlag, auto

import attrs


class Feature(IntFlag):
    """``bluetooth_proxy_feature_flags``."""

    PASSIVE_SCAN = 1
    ACTIVE_CONNECTIONS = 2
    REMOTE_CACHING = 4
    PAIRING = 8
    CACHE_CLEARING = 16
    RAW_ADVERTISEMENTS = 32
    STATE_AND_MODE = 64
    CONNECTION_PARAMS = 128


class Login(Enum):
    """When a session needs an AuthenticationRequest after its hello. If it needs none, it answers none."""

    ALWAYS = auto()
    WHERE_SET = auto()  # a password is set
    NEVER = auto()  # passwords are gone (2026.1)


@attrs.frozen
class Firmware:
    """One generation.

    ``legacy_version``: the field that preceded the flags. ``newest_wins``: a further subscriber takes the stream;
    otherwise it is refused silently. ``clients``: API clients at once, None where memory is the limit.
    ``batch``: advertisements in a message. ``flush``: seconds from the first of them to sending; ``busy_flush`` while
    the last message is not older than that.
    """

    version: str
    api: tuple[int, int]
    flags: Feature
    newest_wins: bool = False
    legacy_version: int = 0
    clients: int | None = 5
    slots: int = 3
    batch: int = 16
    flush: float = 0.1
    busy_flush: float = 0.1
    login: Login = Login.NEVER
    guards_unknown: bool = True  # an unknown request ends a session that is not logged in
    long_hello: bool = False  # the hello's server_info is more than the version
    tells_allocated: bool = True  # ConnectionsFree lists the addresses
    answers_allocated: bool = True  # also in the answer to a request for it
    says_stopped: bool = False  # between STOPPING and IDLE
    tells_configured_mode: bool = True  # the scanner's state names the YAML's mode too
    seeks_untyped: bool = False  # a connect without an address type waits for the device; newer firmware refuses it
    tells_pairing: bool = False  # an unpair request has an answer of its own, a pair request without a link has one
    hello_mac: bool = True  # the Noise server hello carries the MAC (since 2025.4)
    announces_encryption: bool = True  # the TXT record says whether a key is set
    reports_drop_twice: bool = False  # a passive drop gives connected=False two times
    frees_unopened: bool = False  # a disconnect request before the open began frees the slot immediately
    frees_at_once: bool = False  # so does one during the open
    one_operation: bool = False  # a second GATT operation on a connection is refused as busy
    cached_mtu_known: bool = False  # a connect with cache reports 23; older firmware the MTU negotiated last
    silent_when_passive: bool = False  # a passive node answers no connection request at all
    dials: bool = False  # knows ``api: outgoing_connection``
    provisionable: bool = False  # without a key it also accepts Noise with the all-zero key

    @property
    def active(self) -> bool:
        """Can connect to devices."""
        return bool(self.flags & Feature.ACTIVE_CONNECTIONS) or self.legacy_version >= 2

    @property
    def tells_state(self) -> bool:
        """Answers an accepted subscription with the scanner's state."""
        return bool(self.flags & Feature.STATE_AND_MODE)

    @property
    def capable(self) -> bool:
        """Knows DeviceCapabilitiesRequest."""
        return self.api >= (1, 15)

    @property
    def sets_params(self) -> bool:
        """Knows BluetoothSetConnectionParamsRequest; a passive node refuses it."""
        return self.api >= (1, 14)

    def passive(self) -> "Firmware":
        """The same generation, configured with ``active: false``."""
        kept = Feature.PASSIVE_SCAN | Feature.RAW_ADVERTISEMENTS | Feature.STATE_AND_MODE
        return attrs.evolve(self, flags=self.flags & kept, legacy_version=min(self.legacy_version, 1), slots=0)


@attrs.frozen
class NodeTiming:
    """Seconds. The defaults are the firmware's."""

    open: float = 20.0  # Bluedroid waits so long for an absent device
    scanner_step: float = 0.03  # between two scanner states
    scan_cycle: float = 300.0  # the scan is stopped and restarted this often
    discovery: float = 0.25  # MTU exchange and service discovery of an uncached connect
    hang_up: float = 0.05  # from a disconnect request to the link being closed
    drop_again: float = 0.15  # between the two reports of one drop
    teardown: float = 0.1  # from the end of the stream holder's session to the end of its links
    operation: float = 30.0  # after it Bluedroid drops a link whose peer does not answer
    ping: float = 60.0  # of silence, then the node sends a ping
    reap: float = 150.0  # of silence, then the client is dropped
    handshake: float = 60.0  # for a session to be authenticated
    dial_connect: float = 10.0  # for a TCP connection that the node opens
    dial_retry: float = 5.0  # after the first call that failed; doubles
    dial_longest: float = 300.0  # up to this
    farewell: float = 0.5  # for a client to answer a DisconnectRequest


_CURRENT = Feature(255)

FIRST_RAW = Firmware(
    "2023.6.5",
    (1, 9),
    Feature(63),
    legacy_version=5,
    clients=None,
    flush=0.016,
    busy_flush=0.016,
    login=Login.ALWAYS,
    guards_unknown=False,
    long_hello=True,
    tells_allocated=False,
    seeks_untyped=True,
    hello_mac=False,
    announces_encryption=False,
    reports_drop_twice=True,
)
"""The first generation with raw advertisements. Older ones are not served."""

ESPHOME_2025_6 = Firmware(
    "2025.6.3",
    (1, 10),
    Feature(127),
    legacy_version=5,
    clients=None,
    batch=8,
    login=Login.ALWAYS,
    guards_unknown=False,
    long_hello=True,
    answers_allocated=False,
    says_stopped=True,
    tells_configured_mode=False,
    seeks_untyped=True,
    reports_drop_twice=True,
)
ESPHOME_2025_12 = Firmware("2025.12.7", (1, 13), Feature(127), login=Login.WHERE_SET, reports_drop_twice=True)
ESPHOME_2026_6 = Firmware("2026.6.5", (1, 14), _CURRENT, reports_drop_twice=True)
ESPHOME_2026_7 = attrs.evolve(ESPHOME_2026_6, version="2026.7.2", newest_wins=True)
ESPHOME_2026_8 = Firmware(
    "2026.8.1",
    (1, 15),
    _CURRENT,
    newest_wins=True,
    busy_flush=0.2,
    one_operation=True,
    cached_mtu_known=True,
    silent_when_passive=True,
    tells_pairing=True,
    frees_unopened=True,
)
ESPHOME_2026_10 = attrs.evolve(
    ESPHOME_2026_8, version="2026.10.0", api=(1, 19), frees_at_once=True, provisionable=True, dials=True
)

GENERATIONS = {
    "2023.6": FIRST_RAW,
    "2025.6": ESPHOME_2025_6,
    "2025.12": ESPHOME_2025_12,
    "2026.6": ESPHOME_2026_6,
    "2026.7": ESPHOME_2026_7,
    "2026.8": ESPHOME_2026_8,
    "2026.10": ESPHOME_2026_10,
}
