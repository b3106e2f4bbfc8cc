import pytest

from proxy_listener.proxies.handle_cache import HandleCache

MAC, OTHER = 0xC47C8D6A0001, 0xC47C8D6A0002
TABLE = {"0000ffff-0000-1000-8000-00805f9b34fb": 7}


class Notes(dict):
    """Text under a name; None removes it."""

    def save(self, name, text):
        self.pop(name, None)
        if text is not None:
            self[name] = text


def cache(notes):
    return HandleCache(notes.get, notes.save)


def test_a_table_is_kept_per_device():
    """Another cache over the same notes has it; another device has none."""
    notes = Notes()
    cache(notes).put(MAC, TABLE)
    assert cache(notes).get(MAC) == TABLE
    assert cache(notes).get(OTHER) == {}


def test_a_forgotten_table_is_gone():
    notes = Notes()
    cache(notes).put(MAC, TABLE)
    cache(notes).put(OTHER, TABLE)
    cache(notes).forget(MAC)
    assert cache(notes).get(MAC) == {}
    assert len(notes) == 1


@pytest.mark.parametrize("damaged", ["", "{", "[1]", "7", "null", '{"uuid": "x"}', '{"uuid": null}'])
def test_a_damaged_note_is_no_table(damaged):
    """Nothing is raised: the handles are asked for again."""
    notes = Notes()
    cache(notes).put(MAC, TABLE)
    (name,) = notes
    notes[name] = damaged
    assert cache(notes).get(MAC) == {}
