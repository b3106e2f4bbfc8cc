"""The verbs keys import and keys test."""

import json

import pytest

from proxy_listener.simulator import frames

KEY = "e9ea895fac7cca6d30532432a516f3a8"
OTHER = "22" * 16
FRAME = "58585b0550f4830238c1a495ef58763c26000097e2abb5"
MAC = "A4:C1:38:02:83:F4"


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "devices.toml"
    path.write_text(f"[[device]]\nmac = '{MAC}'\nname = 'Bedroom'\nbindkey = '{OTHER}'\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def capture(tmp_path, *frames: str, uuid="95fe", sender=MAC):
    """A capture of these service data, each heard in two rooms."""
    path = tmp_path / "capture.jsonl"
    lines = []
    for frame in frames:
        data = f"020106{len(frame) // 2 + 3:02x}16{uuid}{frame}"
        for proxy in ("kitchen", "hall"):
            advert = {
                "time": 1732300000.1,
                "proxy": proxy,
                "mac": sender,
                "address_type": "public",
                "rssi": -61,
                "data": data,
            }
            lines.append(json.dumps(advert))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_import_shows_its_result_without_the_keys(call, house, tmp_path):
    """A line for each key, and how many were written."""
    source = tmp_path / "tokens.json"
    source.write_text(json.dumps({MAC: KEY, "E4:AA:EC:00:00:01": "F" * 32}), encoding="utf-8")
    result = call("keys", "import", source, "-c", house)
    assert result.exit_code == 0
    rows = [line.split()[:3] for line in result.stdout.splitlines()]
    assert rows[1:3] == [["A4:C1:38:02:83:F4", "-", "renewed"], ["E4:AA:EC:00:00:01", "-", "refused"]]
    assert f"1 of 2 keys written to {house}; 1 refused (all F: " in result.stdout
    assert KEY not in result.output
    assert KEY in house.read_text(encoding="utf-8")
    again = json.loads(call("keys", "import", source, "-c", house, "--json").stdout)
    assert [one["result"] for one in again] == ["unchanged", "refused"]


def test_import_reads_standard_input(call, house):
    """Also where no FILE is named: what the extractor prints can be piped."""
    text = f"NAME: Bedroom\nBLE KEY: {KEY}\nMAC: {MAC}\n---------\nNAME: Attic\nBLE KEY: {OTHER}\n"
    for words in ((), ("-",)):
        result = call("keys", "import", *words, "-c", house, given=text)
        assert result.exit_code == 0
        assert "1 refused (no MAC beside the key" in result.stdout
        assert KEY in house.read_text(encoding="utf-8")
        assert KEY not in result.output


def test_import_writes_no_key_into_the_example_of_the_project(call, house, tmp_path):
    """Where it is only found, beside the package's source. Named with -c it is written."""
    (tmp_path / "proxy_listener").mkdir()
    (tmp_path / "proxy_listener" / "__init__.py").touch()
    before = house.read_bytes()
    result = call("keys", "import", given=json.dumps({MAC: KEY}))
    assert result.exit_code == 1
    assert result.stderr.startswith("devices.toml is the example in the project's folder")
    assert "-c FILE" in result.stderr
    assert house.read_bytes() == before
    assert call("keys", "import", "-c", house, given=json.dumps({MAC: KEY})).exit_code == 0
    assert KEY in house.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1}', b"null"])
def test_import_of_a_file_without_keys_fails(call, house, tmp_path, content):
    """Not JSON, or other JSON: one line, status 1, nothing written."""
    before = house.read_bytes()
    source = tmp_path / "x.json"
    source.write_bytes(content)
    result = call("keys", "import", source, "-c", house)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert house.read_bytes() == before


def test_a_missing_file_is_an_error(call, house):
    """One line with its name, status 1."""
    result = call("keys", "import", "no.json", "-c", house)
    assert (result.exit_code, result.stderr) == (1, "no.json: No such file or directory\n")


def test_every_key_gets_a_verdict(call, house, tmp_path):
    """Copies of a frame count once. No key is shown."""
    path = capture(tmp_path, FRAME)
    words = ["keys", "test", "bedroom", "--capture", path, "--bindkey", KEY, "--bindkey", "ab" * 12, "-c", house]
    result = call(*words)
    assert result.exit_code == 0
    rows = [line.split("  ") for line in result.stdout.splitlines()[1:]]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        [
            "1 of 3, 32 digits",
            "0 of 1",
            "wrong: get the key again; it changes whenever the device is added to its app again",
        ],
        ["2 of 3, 32 digits", "1 of 1", "right"],
        ["3 of 3, 24 digits", "0 of 0", "of the wrong length: these frames need 32 digits"],
    ]
    assert KEY not in result.output


def test_a_damaged_frame_does_not_make_a_key_wrong(call, house, tmp_path):
    """A key that opens one of two frames is right."""
    damaged = FRAME[:-1] + "4"
    result = call(
        "keys", "test", MAC, "--capture", capture(tmp_path, FRAME, damaged), "--bindkey", KEY, "-c", house, "--json"
    )
    document = json.loads(result.stdout)
    assert document["frames"] == 2
    assert [(key["opened"], key["verdict"].split(";")[0]) for key in document["keys"]] == [
        (0, "wrong: get the key again"),
        (1, "right"),
    ]


def test_without_a_fitting_key_the_status_is_1(call, house, tmp_path):
    """Scripts can rely on it."""
    assert call("keys", "test", "Bedroom", "--capture", capture(tmp_path, FRAME), "-c", house).exit_code == 1


def test_a_capture_without_encrypted_frames_gives_no_verdict(call, house, tmp_path):
    """It may be too short: the message says so."""
    plain = "5050aa01" + "01" + "f4830238c1a4" + "0d1004" + "c400b901"
    result = call("keys", "test", "Bedroom", "--capture", capture(tmp_path, plain), "-c", house)
    assert result.exit_code == 1
    assert "no encrypted frame of it in the capture" in result.stdout


def test_a_file_that_is_no_capture_is_an_error(call, house, tmp_path):
    """The message has the place of the first bad line."""
    path = tmp_path / "x.txt"
    path.write_text("hello\n", encoding="utf-8")
    result = call("keys", "test", "Bedroom", "--capture", path, "-c", house)
    assert result.exit_code == 1
    assert f"{path}:1: not JSON" in result.stderr


def test_a_device_without_entry_or_key_is_an_error(call, house, tmp_path):
    """A name without an entry, and a MAC without a key."""
    path = capture(tmp_path, FRAME)
    said = call("keys", "test", "Attic", "--capture", path, "-c", house).stderr
    assert said.startswith(f"no such device: Attic among the [[device]] entries of {house} and what devices shows")
    assert "has no bindkey to test" in call("keys", "test", "E4:AA:EC:00:00:01", "--capture", path, "-c", house).stderr


def test_a_24_digit_key_is_tried_on_v5_frames_too(call, tmp_path):
    """A v5 dimmer's key: what the cloud shows of it opens its frames."""
    mac, key = 0xA4C1380283F4, "0a1b2c3d4e5f60718293a4b5"
    press = frames.obj(0x1001, b"\x00\x01\x03")
    frame = frames.frame(0x03B6, 7, press, mac=mac, key=bytes.fromhex(key) + b"\xff" * 4, include_mac=False)
    path = capture(tmp_path, frame.hex())
    document = json.loads(call("keys", "test", MAC, "--capture", path, "--bindkey", key, "--json").stdout)
    (result,) = document["keys"]
    assert (result["scheme"], result["opened"], result["frames"], result["verdict"]) == ("ccm", 1, 1, "right")


def test_a_bthome_frame_is_tried_too(call, house, tmp_path):
    """Also one with the device's MAC inside that another radio sends; not one with the MAC of another device."""
    mac, words = int(MAC.replace(":", ""), 16), ["keys", "test", "bedroom", "--bindkey", KEY, "-c", house, "--json"]
    own = frames.bthome_v2(b"\x01\x5d", mac=mac, counter=1, key=bytes.fromhex(KEY))
    inside = frames.bthome_v2(b"\x01\x5d", mac=mac, counter=1, key=bytes.fromhex(KEY), include_mac=True)
    other = frames.bthome_v2(b"\x01\x5d", mac=mac + 1, counter=1, key=bytes.fromhex(KEY), include_mac=True)
    for sent, sender, opened in ((own, MAC, [0, 1]), (inside, "11:22:33:44:55:66", [0, 1]), (other, MAC, [0, 0])):
        path = capture(tmp_path, sent.hex(), uuid="d2fc", sender=sender)
        document = json.loads(call(*words, "--capture", path).stdout)
        assert [key["opened"] for key in document["keys"]] == opened
        assert document["frames"] == sum(opened)


def test_a_device_is_named_as_devices_names_it(call, house, state, tmp_path):
    """By a part of its entry's name, or of the name that the running service shows; two that fit are both named."""
    path = capture(tmp_path, FRAME)
    more = ["--capture", path, "--bindkey", KEY, "--state", state]
    for wanted in ("droom", "BEDROOM"):
        assert call("keys", "test", wanted, *more, "-c", house).exit_code == 0
    assert call("keys", "test", "room clim", *more, "-c", tmp_path / "empty.toml").exit_code == 78
    (tmp_path / "empty.toml").write_text("", encoding="utf-8")
    assert call("keys", "test", "room clim", *more, "-c", tmp_path / "empty.toml").exit_code == 0
    said = call("keys", "test", "c", *more, "-c", tmp_path / "empty.toml").stderr
    assert said.startswith("c is more than one device: ")
