"""Frames that were kept without a bindkey, opened once it is there."""

import struct

import pytest
from support.listening import MAC, Air

from proxy_listener.engine.kept import open_kept
from proxy_listener.engine.memory import KeptFrame
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.simulator import frames

KEY = "e9ea895fac7cca6d30532432a516f3a8"


WARM = frames.obj(0x1004, struct.pack("<h", 215))


def kept(counter: int, key: str = KEY, product: int = 0x055B, objects: bytes = WARM) -> KeptFrame:
    data = frames.frame(product, counter, objects, mac=MAC, key=bytes.fromhex(key), extended=1)
    return KeptFrame(1, MAC, 1_700_000_000.0, "attic", -77, 0, 0xFE95, data)


def keyed() -> tuple[Air, object]:
    air = Air(DeviceSettings(mac=MAC, name="Attic", bindkey=(Secret(KEY),)))
    return air, air.devices.by_address[MAC]


def refusal(air: Air, device: object, frame: KeptFrame) -> Outcome:
    with pytest.raises(NoReadingError) as raised:
        open_kept(air.listener, device, frame)
    return raised.value.outcome


def test_a_kept_frame_is_a_late_reading_of_its_own_time_that_moves_nothing():
    """Its counter, proxy and room are those of when it was heard; no event fires and no live value changes."""
    air, device = keyed()
    reading = open_kept(air.listener, device, kept(7))
    assert (reading.time, reading.proxy, reading.room, reading.rssi) == (1_700_000_000.0, "attic", "Attic", -77)
    assert (reading.counter, reading.trust, reading.late, reading.fires) == (0x107, "authenticated", True, False)
    assert (reading.values, reading.stale) == ({"temperature": 21.5}, {"temperature"})
    assert device.values == {}


def test_a_kept_frame_of_a_format_without_products_is_of_the_product_that_is_known():
    """BTHome: by the local name that came later, or by the device's MiBeacon frames; else it is a BTHome sensor."""
    air, device = keyed()
    for counter, model in ((1, "BTHome sensor"), (2, "LYWSD03MMC")):
        data = frames.bthome_v2(bytes.fromhex("02ca09"), mac=MAC, counter=counter, key=bytes.fromhex(KEY))
        reading = open_kept(air.listener, device, KeptFrame(1, MAC, 1_700_000_000.0, "attic", -77, 0, 0xFCD2, data))
        assert (reading.model, dict(reading.values), reading.trust) == (model, {"temperature": 25.06}, "authenticated")
        open_kept(air.listener, device, kept(counter))
    assert device.model.name == "LYWSD03MMC"


def test_a_kept_frame_that_the_history_knows_is_a_repeat():
    """Also one that was heard live meanwhile: each is a reading once."""
    air, device = keyed()
    air.emit(open_kept(air.listener, device, kept(7)))
    assert refusal(air, device, kept(7)) is Outcome.REPEAT


def test_a_kept_frame_of_another_key_stays_closed():
    """The outcome says whether there is no key, or none that fits."""
    air, device = keyed()
    assert refusal(air, device, kept(7, "00" * 16)) is Outcome.WRONG_BINDKEY
    device.configure(None)
    assert refusal(air, device, kept(7)) is Outcome.NO_BINDKEY


def test_a_battery_that_may_be_a_counter_waits_for_a_second_kept_frame():
    """CGPR1's hourly counter would be in the history for good."""
    air, device = keyed()
    sent = [
        kept(number, product=0x0A83, objects=frames.obj(0x100A, bytes((battery,))))
        for number, battery in enumerate((37, 100, 100))
    ]
    assert [refusal(air, device, frame) for frame in sent[:2]] == [Outcome.HELD, Outcome.HELD]
    assert open_kept(air.listener, device, sent[2]).values == {"battery": 100}
