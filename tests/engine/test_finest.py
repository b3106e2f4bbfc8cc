"""One measurement in two formats."""

from proxy_listener.engine.finest import KEPT, QUANTITIES, Finest, digits_of

PVVX, OTHER = b"a", b""


def test_the_value_with_more_digits_is_kept():
    """Of two formats in turns the coarser one gives no value, also where the finer one happens to need fewer digits."""
    finest = Finest(PVVX, {}, "claimed", 0.0)
    assert finest.kept({"temperature": 23.42}, PVVX, "claimed", 0.0) == {"temperature": 23.42}
    assert finest.kept({"temperature": 23.4, "battery": 77}, OTHER, "claimed", 5.0) == {"battery": 77}
    assert finest.kept({"temperature": 23.4}, PVVX, "claimed", 10.0) == {"temperature": 23.4}
    assert finest.kept({"temperature": 23.4}, OTHER, "claimed", 15.0) == {}


def test_what_the_first_format_said_before_the_second_came_counts():
    """The live state is its."""
    finest = Finest(PVVX, {"temperature": 23.42, "door": True}, "claimed", 0.0)
    assert finest.kept({"temperature": 23.4}, OTHER, "claimed", 1.0) == {}


def test_of_equally_fine_values_both_are_kept():
    """They are the same measurement, so nothing goes to and fro."""
    finest = Finest(PVVX, {}, "claimed", 0.0)
    for form in (PVVX, OTHER):
        assert finest.kept({"battery": 77, "door": True, "text": "a"}, form, "claimed", 0.0) == {
            "battery": 77,
            "door": True,
            "text": "a",
        }


def test_a_finer_value_that_stopped_coming_gives_way():
    """After ten minutes the coarser one counts."""
    finest = Finest(PVVX, {}, "claimed", 0.0)
    finest.kept({"temperature": 23.42}, PVVX, "claimed", 0.0)
    assert finest.kept({"temperature": 23.4}, OTHER, "claimed", KEPT) == {}
    assert finest.kept({"temperature": 23.4}, OTHER, "claimed", KEPT + 1) == {"temperature": 23.4}


def test_a_claimed_value_takes_the_place_of_no_authenticated_one():
    """Anybody could send more digits."""
    finest = Finest(PVVX, {}, "claimed", 0.0)
    finest.kept({"temperature": 99.123}, PVVX, "claimed", 0.0)
    assert finest.kept({"temperature": 23.4}, OTHER, "authenticated", 1.0) == {"temperature": 23.4}


def test_quantities_are_bounded():
    """A frame without a key can hold any; beyond the limit they are kept and not followed."""
    finest = Finest(PVVX, {}, "claimed", 0.0)
    for number in range(10 * QUANTITIES):
        assert finest.kept({f"q{number}": 0.5}, PVVX, "claimed", 0.0)
    assert len(finest._sent) == QUANTITIES


def test_digits():
    """As many as the value needs."""
    assert [digits_of(value) for value in (23, 23.0, 23.4, 0.1 + 0.2, 23.42, 1.0625)] == [0, 0, 1, 6, 2, 4]
