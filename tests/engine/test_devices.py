"""Which devices have a state: listed ones, and the unlisted ones that were admitted."""

import pytest
from support.listening import MAC, SetMemory

from proxy_listener.engine.devices import ADMITTED_A_DAY, IN_MEMORY, NAMED, Devices
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.timing import DAY

LYWSD03MMC, LYWSDCGQ = model_of(0x055B), model_of(0x01AA)


def devices(*entries, unlisted="emit", memory=None, notices=None, admitted_today=0) -> Devices:
    made = Devices(
        memory or SetMemory(),
        room=str.title,
        notify=(notices if notices is not None else []).append,
        started=0.0,
        started_time=1e9,
        admitted_today=admitted_today,
    )
    made.configure(entries, unlisted)
    return made


def refusal(made: Devices, address: int, heard: float) -> Outcome:
    with pytest.raises(NoReadingError) as raised:
        made.admit(address, 1e9 + heard, heard)
    return raised.value.outcome


def test_admissions_of_a_day_are_counted_over_a_restart():
    """With those that the history knows of today; a day later there is room again."""
    made = devices(admitted_today=ADMITTED_A_DAY - 1)
    made.admit(1, 1e9, 0.0)
    assert refusal(made, 2, 1.0) is Outcome.NOT_ADMITTED
    assert 2 not in made.by_address
    made.admit(2, 1e9 + DAY, DAY)


def test_a_device_that_was_admitted_before_does_not_count():
    """It comes back also when the day is full."""
    memory = SetMemory()
    memory.admit(7, 0.0)
    made = devices(memory=memory, admitted_today=ADMITTED_A_DAY)
    assert made.admit(7, 1e9, 0.0).address == 7


def test_unlisted_devices_are_dropped_once_they_are_ignored():
    """Those that lose their entry as well."""
    made = devices(DeviceSettings(mac=MAC))
    made.admit(5, 1e9, 0.0)
    made.configure([], "ignore")
    assert MAC not in made.by_address
    assert refusal(made, 5, 1.0) is Outcome.IGNORED


def test_memory_is_bounded_and_the_longest_unheard_unlisted_devices_go_first():
    """A quarter of them at once; listed devices stay."""
    memory = SetMemory()
    memory.unlisted = set(range(1, 2 * IN_MEMORY))
    made = devices(DeviceSettings(mac=MAC), memory=memory)
    for address in range(1, IN_MEMORY):
        made.admit(address, 1e9, 0.0).heard = float(address)
    made.admit(IN_MEMORY, 1e9, 0.0)
    assert MAC in made.by_address
    assert len(made.by_address) == IN_MEMORY - (IN_MEMORY - 1) // 4 + 1
    assert min(made.by_address.keys() - {MAC}) == (IN_MEMORY - 1) // 4 + 1


def test_a_claimed_model_changes_no_model_of_the_last_hour():
    """Anyone can name another product; a proven frame, or an hour of silence, changes it."""
    notices = []
    made = devices(notices=notices)
    device = made.admit(9, 1e9, 0.0)
    made.name(device, LYWSD03MMC, 0.0)
    made.name(device, LYWSDCGQ, NAMED - 1)
    assert device.model is LYWSD03MMC
    made.name(device, LYWSDCGQ, NAMED - 1, proven=True)
    assert device.model is LYWSDCGQ
    made.name(device, LYWSD03MMC, 2 * NAMED)
    assert device.model is LYWSD03MMC
    assert [(notice.kind, notice.detail) for notice in notices] == [("admitted", "LYWSD03MMC")]


def test_a_move_is_reported_between_rooms_only():
    """Two proxies in one room are one place."""
    notices = []
    made = devices(DeviceSettings(mac=MAC, name="Cup"), notices=notices)
    device = made.by_address[MAC]
    for before, nearest in ((None, "kitchen"), ("kitchen", "KITCHEN"), ("kitchen", "hall")):
        device.routes.nearest = nearest
        made.moved(device, before)
    assert [notice.detail for notice in notices] == ["in Kitchen", "in Hall, before in Kitchen"]
