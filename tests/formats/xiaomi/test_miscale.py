"""What is not MiBeacon: the Mi scales and HHCCJCY10."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.decoding import decode

from proxy_listener.formats.xiaomi.hhcc import UUID as TUYA
from proxy_listener.formats.xiaomi.miscale import BODY_COMPOSITION, WEIGHT_SCALE
from proxy_listener.formats.xiaomi.models import SCALE_V1, SCALE_V2
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.simulator import frames

WHEN = datetime(2021, 4, 11, 16, 19, 1)  # noqa: DTZ001  a scale's clock has no zone
CLOCK = "2021-04-11T16:19:01"


def test_the_documented_weighings():
    """86.55 kg on a v1; 85.15 kg and 428 Ω on a v2 whose clock was never set."""
    model, decoded = decode(WEIGHT_SCALE, bytes.fromhex("229e43e507040b101301"))
    assert model is SCALE_V1
    assert decoded.values == {"mass": 86.55, "mass_non_stabilized": 86.55, "stabilized": True, "weighing": CLOCK}
    model, decoded = decode(BODY_COMPOSITION, bytes.fromhex("0226b20705040f0201ac018642"))
    assert model is SCALE_V2
    expected = {"mass": 85.15, "mass_non_stabilized": 85.15, "stabilized": True, "impedance": 428}
    assert decoded.values == expected | {"weighing": "1970-05-04T15:02:01"}


@pytest.mark.parametrize(
    ("control", "raw", "mass"),
    [
        (0x22, 17310, 86.55),  # kg
        (0x23, 14065, 63.8),  # lb: 140.65
        (0x32, 17310, 86.55),  # jin: 173.1
        (0x62, 1910, 9.55),  # a small object, kg
        (0x63, 1910, 8.66),  # a small object, lb
    ],
)
def test_units(control, raw, mass):
    """Kilograms, whatever the scale shows; a small object's true weight."""
    assert decode(WEIGHT_SCALE, frames.scale_v1(raw, WHEN, control))[1].values["mass"] == mass


@pytest.mark.parametrize(("control", "stabilized"), [(0x02, False), (0xA2, False), (0x82, False), (0x22, True)])
def test_mass_is_final_only_while_somebody_stands_there(control, stabilized):
    """Not stabilized, or removed (an old reading repeated): no mass, but what the scale shows."""
    values = decode(WEIGHT_SCALE, frames.scale_v1(15000, WHEN, control))[1].values
    assert values["mass_non_stabilized"] == 75.0
    assert values["stabilized"] is stabilized
    assert ("mass" in values) is stabilized


@pytest.mark.parametrize(
    ("controls", "impedance", "found"),
    [
        ((2, 0x26), 428, 428),
        ((2, 0x24), 428, None),
        ((2, 0xA6), 428, None),
        ((2, 0x26), 65534, None),
        ((2, 0x26), 0, None),
    ],
)
def test_impedance(controls, impedance, found):
    """Only with its bit, in a final frame, and as a body has it."""
    _, decoded = decode(BODY_COMPOSITION, frames.scale_v2(15000, WHEN, impedance, controls))
    assert decoded.values.get("impedance") == found
    assert decoded.skipped.implausible == (("impedance",) if impedance == 65534 else ())


@pytest.mark.parametrize(("raw", "controls"), [(0xFFF0, (2, 0x26)), (0xFFFF, (2, 0x26)), (0xFFF0, (3, 0x26))])
def test_an_overloaded_scale_gives_no_weight(raw, controls):
    """A Mi scale 2 then sends 0xFFF0, stabilized: neither 327.6 kg, nor 297.2 kg where it shows pounds."""
    with pytest.raises(DecodeError) as raised:
        decode(BODY_COMPOSITION, frames.scale_v2(raw, WHEN, 428, controls))
    assert raised.value.outcome is Outcome.IMPLAUSIBLE


@pytest.mark.parametrize("clock", ["00000000000000", "e507020f1e1e3d", "ffffffffffffff", "e5070d01000000"])
def test_a_clock_that_cannot_be(clock):
    """An impossible date gives no weighing time, and the weight all the same."""
    values = decode(WEIGHT_SCALE, bytes.fromhex("229e43" + clock))[1].values
    assert values["mass"] == 86.55
    assert "weighing" not in values


@given(st.sampled_from([WEIGHT_SCALE, BODY_COMPOSITION]), st.binary(max_size=20))
def test_any_bytes_on_a_scale(uuid, data):
    """DecodeError or a weight that a scale can bear."""
    try:
        _, decoded = decode(uuid, data)
    except DecodeError:
        return
    assert 0 <= decoded.values["mass_non_stabilized"] <= 300
    assert 0 <= decoded.values.get("impedance", 0) <= 3000


@given(
    st.integers(-600, 1300), st.integers(0, 100), st.integers(0, 200_000), st.integers(0, 100), st.integers(0, 20_000)
)
def test_hhccjcy10_round_trip(tenths, moisture, illuminance, battery, conductivity):
    """Signed temperatures and all the rest come back."""
    data = frames.hhccjcy10(tenths / 10, moisture, illuminance, battery, conductivity)
    expected = {"moisture": moisture, "illuminance": illuminance, "battery": battery, "conductivity": conductivity}
    assert decode(TUYA, data)[1].values == {"temperature": tenths / 10} | expected


def test_hhccjcy10_below_zero():
    """-3.6 °C is not 6,550.0 °C."""
    assert decode(TUYA, bytes.fromhex("0effdc0134a428005b"))[1].values["temperature"] == -3.6


@pytest.mark.parametrize(("data", "outcome"), [("00" * 12, Outcome.NOT_A_FRAME), ("ff" * 9, Outcome.IMPLAUSIBLE)])
def test_what_is_no_hhccjcy10(data, outcome):
    """Its own 12-byte frames, and other devices of Tuya's."""
    with pytest.raises(DecodeError) as caught:
        decode(TUYA, bytes.fromhex(data))
    assert caught.value.outcome is outcome
