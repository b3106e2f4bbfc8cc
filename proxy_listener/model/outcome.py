"""What became of an advertisement: a closed list, returned by the listener and counted, never logged.

An ``IntEnum`` because the counts are a list indexed by it: hashing a plain ``Enum`` member runs Python code, and this
happens a thousand times a second.
"""

from enum import IntEnum, unique


@unique
class Outcome(IntEnum):
    """What became of an advertisement. ``str()`` gives the word used in counts, JSON and metrics."""

    NOT_OURS = 0  # no payload of ours in it
    DECODED = 1  # became a reading
    REPEAT = 2  # another copy of a frame that is known
    LATE = 3  # became a reading, but a newer frame of the device was already known
    REPLAY = 4  # a known authenticated frame, more than 300 s after it was first heard
    EMPTY = 5  # a frame without objects: a sign of life, no values
    MALFORMED = 6  # the bytes contradict their own lengths
    UNKNOWN_PRODUCT = 7  # no model for the product id, and nothing of it could be read
    UNKNOWN_OBJECT = 8  # a frame of which no object is known
    NO_BINDKEY = 9  # encrypted, and no bindkey for the device
    WRONG_BINDKEY = 10  # encrypted, and no bindkey of the device verifies it
    GUESSING = 11  # more failed tags of one device than bit errors explain; not tried
    DOWNGRADED = 12  # plain, or of another scheme, in the name of a device that has a bindkey
    IMPLAUSIBLE = 13  # a value outside its physical range
    NOT_ADMITTED = 14  # an unlisted device that is not admitted yet
    IGNORED = 15  # an unlisted device, and the configuration wants listed ones only
    HELD = 16  # a value that has to be confirmed first: by a second frame, or by lasting 2 s
    MESH = 17  # a BLE Mesh frame: not supported
    WRONG_MAC = 18  # the MAC inside the frame is not the address it came from
    NOT_A_FRAME = 19  # our UUID, but a version that carries no values
    REFUSED = 20  # fields that no radio sends: oversized data, an RSSI or address out of range
    CONFLICT = 21  # a product id other than the one that the device's key verified

    def __str__(self) -> str:
        return self.name.lower()
