"""Which devices have a state: listed ones, and the unlisted ones that were admitted."""

import pytest
from support.listening import MAC, SetMemory

from proxy_listener.engine.device import ESTABLISHED
from proxy_listener.engine.devices import IN_MEMORY, NAMED, NEWCOMERS_NAMED, Devices
from proxy_listener.engine.newcomers import BUCKET, LATELY, RESERVED, Sign
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.errors import NoReadingError, ProxyListenerError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.timing import DAY

LYWSD03MMC, LYWSDCGQ = model_of(0x055B), model_of(0x01AA)


SIGN = Sign(LYWSD03MMC, True, "hall", -70)


def devices(*entries, unlisted="emit", memory=None, notices=None, admissions=()) -> Devices:
    made = Devices(
        memory or SetMemory(),
        room=str.title,
        notify=(notices if notices is not None else []).append,
        started=0.0,
        started_time=1e9,
        admissions=admissions,
    )
    made.configure(entries, unlisted)
    return made


def refusal(made: Devices, address: int, heard: float) -> Outcome:
    with pytest.raises(NoReadingError) as raised:
        made.meet(address, SIGN, 1e9 + heard, heard)
    return raised.value.outcome


def meet_for(made: Devices, addresses, begin: float, seconds: float = 60.0) -> list[int]:
    """Each address speaks every 20 s for so long. Those that were admitted."""
    admitted = []
    for step in range(int(seconds // 20) + 1):
        for address in set(addresses) - set(admitted):
            heard = begin + step * 20
            try:
                made.meet(address, SIGN, 1e9 + heard, heard)
            except NoReadingError:
                continue
            admitted.append(address)
    return sorted(admitted)


def test_admissions_are_counted_over_a_restart():
    """Those of the last day that the history knows: the bucket has what was filled in since."""
    made = devices(admissions=[1e9 - DAY / 4] * BUCKET)
    assert made.admissions(0.0).left == 0
    assert meet_for(made, [1, 2], 0.0) == []
    assert 1 not in made.by_address
    assert made.admissions(DAY / 2).left == BUCKET * 3 // 4 - RESERVED
    assert meet_for(made, [1, 2], DAY / 2) == [1, 2]


def test_a_device_that_was_admitted_before_does_not_count():
    """It comes back at once, also when no other device is admitted."""
    memory = SetMemory()
    memory.admit(7, 0.0)
    made = devices(memory=memory, admissions=[1e9] * BUCKET)
    assert made.meet(7, SIGN, 1e9, 0.0).address == 7


def test_a_full_bucket_is_told_once_a_day_and_stands_in_the_state():
    """Also with thousands of invented addresses that go on for a day; and the state says it only while it is so."""
    notices = []
    made = devices(notices=notices, admissions=[1e9] * BUCKET)
    for hour in range(24):
        meet_for(made, range(300), hour * 3600.0)
    assert [notice.kind for notice in notices if notice.kind == "full"] == ["full"]
    last = 23 * 3600.0 + 60.0
    assert made.admissions(last).full
    assert not made.admissions(last + LATELY + 1).full


def test_a_person_can_admit_a_device_while_the_bucket_is_empty():
    """Heard or not. It counts as established, and takes nothing from the bucket."""
    made = devices(admissions=[1e9] * BUCKET)
    assert meet_for(made, [1], 0.0) == []
    assert [one.mac for one in made.waiting(60.0)] == [1]
    device = made.admit(1, 1e9 + 60, 60.0)
    assert (device.name, device.heard) == ("LYWSD03MMC 0001", 60.0)
    device.heard = 61.0
    assert device.established
    assert made.status(2, 60.0) is None
    assert made.admit(2, 1e9 + 60, 60.0).status(60.0, str).heard_age is None
    assert (made.waiting(60.0), made.admissions(60.0).left) == ([], 0)
    assert made.admit(1, 1e9, 60.0) is device


def test_what_is_ignored_cannot_be_admitted():
    """The configuration says that only listed devices are heard."""
    made = devices(unlisted="ignore")
    with pytest.raises(ProxyListenerError, match="ignore"):
        made.admit(1, 1e9, 0.0)


def test_an_admitted_device_is_established_once_it_was_heard_ten_minutes_later():
    """Also where a restart lies between. A listed one is at once."""
    memory = SetMemory()
    made = devices(DeviceSettings(mac=MAC), memory=memory)
    assert meet_for(made, [5], 0.0) == [5]
    device = made.by_address[5]
    device.heard = 60.0 + ESTABLISHED - 1
    assert not device.established
    device.heard = 60.0 + ESTABLISHED
    assert device.established
    assert made.by_address[MAC].established
    again = Devices(memory, room=str, notify=print, started=5.0, started_time=1e9 + 600)
    later = again.meet(5, SIGN, 1e9 + 700, 105.0)
    later.heard = 105.0
    assert later.established


def test_newcomers_are_named_longest_heard_first_and_few():
    """With what they say that they are, through which proxy, and what they wait for."""
    made = devices(admissions=[1e9] * BUCKET)
    for address in range(1000, 1200):
        refusal(made, address, 0.0)
    meet_for(made, [7], 0.0)
    named = made.waiting(100.0)
    assert len(named) == NEWCOMERS_NAMED
    first = named[0]
    assert (first.mac, first.model, first.encrypted, first.room, first.rssi) == (7, "LYWSD03MMC", True, "Hall", -70)
    assert (first.moments, first.heard_for, first.heard_age) == (4, 60.0, 40.0)
    assert (first.waits, named[1].waits) == ("too many new devices", "heard too briefly so far")


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
    memory.unlisted = dict.fromkeys(range(1, 2 * IN_MEMORY), 0.0)
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


def test_a_device_that_was_only_read_is_available_at_the_start():
    """A plant with old firmware has no advertised row. It would be gone at each start, until it is heard; it has its
    model's interval, as every device that the history knows.
    """
    memory = SetMemory()
    memory.models = {MAC: 0x0098}
    plant = devices(DeviceSettings(MAC), memory=memory)
    assert plant.statuses(10.0)[0].available
    assert plant.statuses(10.0)[0].read_interval == DAY
    assert not plant.statuses(10.0)[0].advertises
    assert not plant.statuses(10_000.0)[0].available
    assert not devices(DeviceSettings(MAC)).statuses(10.0)[0].available
