import json
import os

from proxy_listener.proxies.remembered import FILE, LIMIT, Remembered

MAC, OTHER = 0xA0B1C2D3E4F5, 0x112233445566


def test_everything_survives_a_restart(tmp_path):
    remembered = Remembered(tmp_path)
    remembered.bind("kitchen", MAC)
    remembered.note_encrypted(MAC)
    remembered.note_not_proxy(OTHER, "2026.10.0/1a2b")
    assert remembered.changed
    remembered.write(remembered.snapshot())
    assert not remembered.changed
    again = Remembered(tmp_path)
    assert again.bound("kitchen") == MAC
    assert again.encrypted(MAC)
    assert not again.encrypted(OTHER)
    assert again.not_proxy(OTHER, "2026.10.0/1a2b")
    assert not again.not_proxy(OTHER, "2026.11.0/1a2b")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_first_binding_stays():
    """A name is bound to the first MAC that proves the key; who comes later does not take it over."""
    remembered = Remembered(None)
    remembered.bind("kitchen", MAC)
    remembered.bind("kitchen", OTHER)
    assert remembered.bound("kitchen") == MAC


def test_damaged_file_costs_only_what_it_held(tmp_path):
    for text in ("", "{", "[]", '{"bound": 1}', json.dumps({"bound": {"a": "zz"}, "encrypted": [], "not_proxies": {}})):
        (tmp_path / FILE).write_text(text)
        assert Remembered(tmp_path).bound("a") is None


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / FILE)
    remembered = Remembered(tmp_path)
    remembered.bind("kitchen", MAC)
    remembered.write(remembered.snapshot())
    assert Remembered(tmp_path).bound("kitchen") == MAC


def test_it_is_bounded():
    remembered = Remembered(None)
    for mac in range(LIMIT + 10):
        remembered.note_not_proxy(mac, "2026.10.0/")
    assert len(json.loads(remembered.snapshot())["not_proxies"]) == LIMIT
    assert remembered.not_proxy(LIMIT + 9, "2026.10.0/")


def test_it_is_not_written_through_a_link(tmp_path):
    """Who may write into the directory does not get another file of ours emptied."""
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / FILE).with_suffix(".new").symlink_to(other)
    remembered = Remembered(tmp_path)
    remembered.bind("kitchen", MAC)
    remembered.write(remembered.snapshot())
    assert other.read_text() == "precious"
    assert Remembered(tmp_path).bound("kitchen") == MAC
