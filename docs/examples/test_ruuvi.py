"""RuuviTag's data format 5, with the vectors of its specification. The example of docs/adding.md#a-format."""

import pytest
from support.decoding import read
from support.listening import Air

from proxy_listener.formats.explain import examine
from proxy_listener.formats.ruuvi import FORMAT, KEY
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.simulator import frames

MAC = 0xCBB8334C884F
VALID = "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f"
VECTORS = [
    # docs.ruuvi.com, data format 5: valid data, maximum, minimum, nothing there
    (VALID, {"temperature": 24.3, "humidity": 53.49, "pressure": 1000.44, "voltage": 2.977}, 205),
    ("057ffffffefffe7fff7fff7fffffdefefffecbb8334c884f", {"pressure": 1155.34, "voltage": 3.646}, 254),
    ("058001000000008001800180010000000000cbb8334c884f", {"humidity": 0.0, "pressure": 500.0, "voltage": 1.6}, 0),
    ("058000ffffffff800080008000ffffffffffffffffffffff", {}, 255),
]


@pytest.mark.parametrize(("data", "values", "counter"), VECTORS)
def test_the_vectors_of_the_specification(data, values, counter):
    """163.835 °C and 163.835 % are in the vectors, and in no room."""
    payload = bytes.fromhex(data)
    assert read(frames.advertisement(payload, KEY), MAC)[1].values == values
    assert FORMAT.parse(payload, MAC).counter == counter


@pytest.mark.parametrize("data", ["03291a1ece1efc18f94202ca0b53", VALID[:-2], "06" + VALID[2:], ""])
def test_ruuvi_s_other_formats_are_not_frames(data):
    """Data format 3 (ble_monitor's vector), a cut one, another number."""
    with pytest.raises(DecodeError) as error:
        FORMAT.parse(bytes.fromhex(data), MAC)
    assert (error.value.outcome, FORMAT.fits(bytes.fromhex(data))) == (Outcome.NOT_A_FRAME, False)


def test_in_the_listener():
    """A reading, then a repeat; another sender's is refused."""
    air = Air()
    payload = bytes.fromhex(VALID)
    assert air.say(payload, mac=MAC, uuid=KEY) is Outcome.DECODED
    assert air.say(payload, mac=MAC, uuid=KEY, proxy="hall", after=0.2) is Outcome.REPEAT
    assert air.say(payload, mac=MAC + 1, uuid=KEY) is Outcome.WRONG_MAC
    assert (air.readings[0].model, air.readings[0].counter) == ("RuuviTag", 205)


def test_the_drawing_of_a_frame():
    """Every field, with and without its advertisement."""
    drawn = examine(frames.advertisement(bytes.fromhex(VALID), KEY), MAC)
    assert [line.name for line in drawn.lines if line.part == "frame"][-2:] == ["sequence", "MAC"]
    assert examine(bytes.fromhex(VALID)).decoded.values["pressure"] == 1000.44
    assert examine(bytes.fromhex(VALID), MAC + 1).outcome is Outcome.WRONG_MAC
