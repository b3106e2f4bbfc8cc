"""One device: its bindkeys, its name, its live state."""

import attrs
import pytest
from support.listening import MAC

from proxy_listener.engine.dedup import Authenticated
from proxy_listener.engine.device import KEY_RETIRES, WRONG_FAILURES, WRONG_SECONDS, Copy, Device
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import KeyState

NEW, OLD, LEGACY = "11" * 16, "22" * 16, "33" * 12
LYWSD03MMC, LYWSDCGQ = model_of(0x055B), model_of(0x01AA)


def device(*keys: str, **more) -> Device:
    entry = DeviceSettings(mac=MAC, bindkey=tuple(map(Secret, keys)), **more) if keys or more else None
    return Device(MAC, entry, lambda _key_id: Authenticated(lambda _identity: False, 0.0), 0.0)


def test_a_name_is_the_configured_one_or_made_of_the_model_and_the_mac():
    """Unlisted devices of one model are told apart by the end of their MAC."""
    unnamed = device()
    assert unnamed.name == "device 83F4"
    unnamed.model = LYWSD03MMC
    unnamed.rename()
    assert unnamed.name == "LYWSD03MMC 83F4"
    unnamed.configure(DeviceSettings(mac=MAC, name="Bedroom"))
    assert unnamed.name == "Bedroom"


def test_an_older_bindkey_is_tried_until_a_day_after_the_newest_verified():
    """Both while a key changes; a legacy key is tried on legacy frames, and padded where the product has such keys."""
    changed = device(NEW, OLD, LEGACY)
    newest, oldest, padded, legacy = changed.keys
    assert changed.keys_in_force("ccm", 0.0) == (newest, oldest)
    assert changed.keys_in_force("ccm", 0.0, padded=True) == (newest, oldest, padded)
    assert changed.keys_in_force("legacy", 0.0) == (legacy,)
    changed.key_verified(newest.id, 100.0)
    assert changed.keys_in_force("ccm", 100.0 + KEY_RETIRES - 1) == (newest, oldest)
    assert changed.keys_in_force("ccm", 100.0 + KEY_RETIRES) == (newest,)


def test_a_key_is_wrong_after_twenty_failures_over_ten_minutes():
    """Fewer or faster failures are bit errors or a flood; a frame that verifies starts the count again."""
    keyed = device(NEW)
    assert not any(keyed.key_failed(float(second)) for second in range(100))
    assert keyed.key is KeyState.WAITING
    assert keyed.key_verified(keyed.keys[0].id, 100.0)
    assert not keyed.key_verified(keyed.keys[0].id, 101.0)
    step = WRONG_SECONDS / (WRONG_FAILURES - 1)
    changes = [keyed.key_failed(200.0 + number * step) for number in range(WRONG_FAILURES + 1)]
    assert changes == [False] * (WRONG_FAILURES - 1) + [True, False]
    assert keyed.key is KeyState.WRONG


def test_another_key_makes_kept_bytes_prove_nothing():
    """A plain frame that was believed without a key is looked at again once there is one."""
    plain = device()
    plain.remember(b"bytes", Copy(0.0, 0.0, 300.0, 1))
    plain.configure(DeviceSettings(mac=MAC, name="only a name"))
    assert b"bytes" in plain.copies
    plain.configure(DeviceSettings(mac=MAC, bindkey=(Secret(NEW),)))
    assert plain.copies == {}
    assert not plain.believes_plain()
    assert attrs.evolve(plain.entry, allow_plaintext=True).allow_plaintext


def test_a_plain_frame_contradicts_only_the_product_that_a_key_verified():
    """Without a verified key, the model may change."""
    keyed = device(NEW, allow_plaintext=True)
    assert not keyed.contradicts(LYWSDCGQ)
    keyed.model, keyed.product_id = LYWSD03MMC, LYWSD03MMC.product_id
    assert not keyed.contradicts(LYWSDCGQ)
    keyed.key_verified(keyed.keys[0].id, 0.0)
    assert keyed.contradicts(LYWSDCGQ)
    assert not keyed.contradicts(LYWSD03MMC)


def test_the_value_of_an_older_frame_does_not_replace_a_newer_one():
    """Within one stream, by its order; of another stream there is no order."""
    state, stream = device(), object()
    state.write({"temperature": 21.0}, frozenset(), 10.0, stream, 5)
    assert state.stale({"temperature": 20.0, "humidity": 40.0}, stream, 4) == {"temperature"}
    assert state.stale({"temperature": 20.0}, stream, 6) == frozenset()
    assert state.stale({"temperature": 20.0}, object(), 4) == frozenset()
    state.write({"temperature": 20.0, "humidity": 40.0}, frozenset({"temperature"}), 11.0, stream, 4)
    assert state.values == {"temperature": (21.0, 10.0), "humidity": (40.0, 11.0)}


def test_a_read_replaces_older_values_only():
    """By wall time; the next frame replaces it in turn."""
    state, stream = device(), object()
    state.write({"temperature": 21.0}, frozenset(), 10.0, stream, 5)
    state.write_read({"temperature": 19.0, "battery": 80}, 9.0)
    assert state.values == {"temperature": (21.0, 10.0), "battery": (80, 9.0)}
    state.write_read({"temperature": 22.0}, 11.0)
    state.write({"temperature": 23.0}, frozenset(), 12.0, stream, 6)
    assert state.values["temperature"] == (23.0, 12.0)


@pytest.mark.parametrize(("model", "seconds", "available"), [(LYWSDCGQ, 899, True), (LYWSDCGQ, 901, False)])
def test_a_device_is_available_within_the_interval_of_its_model(model, seconds, available):
    """Not before it was heard, and not while its model is unknown."""
    heard = device()
    assert not heard.available(0.0)
    heard.heard = 1000.0
    assert not heard.available(1000.0)
    heard.model = model
    assert heard.available(1000.0 + seconds) is available
