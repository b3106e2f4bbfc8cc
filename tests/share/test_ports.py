"""The ports of shared nodes."""

import pytest
from structlog.testing import capture_logs

from proxy_listener.share.ports import LAST, NAME, Ports

ONE, TWO = 0xA0B1C2D3E401, 0xA0B1C2D3E402


def test_a_proxy_keeps_its_port(tmp_path):
    """For ever, whatever comes after it, and also where the first port is another now."""
    ports = Ports(tmp_path)
    assert [ports.of(ONE, 6100), ports.of(TWO, 6100), ports.of(ONE, 6100)] == [6100, 6101, 6100]
    assert [Ports(tmp_path).of(TWO, 7000), Ports(tmp_path).of(ONE, 7000)] == [6101, 6100]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_ports_end(tmp_path):
    """Beyond the last one it says so."""
    ports = Ports(tmp_path)
    ports.of(ONE, LAST)
    with pytest.raises(ValueError, match="no port from 65535 on is free"):
        ports.of(TWO, LAST)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"no mac": 1}', "[" * 100_000, '{"A0:B1:C2:D3:E4:01": "x"}'])
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path, text):
    """With a line in the log, or without the entries that are none."""
    (tmp_path / NAME).write_text(text)
    with capture_logs():
        assert Ports(tmp_path).of(ONE, 6100) == 6100


def test_nothing_is_kept_without_a_state_directory():
    """But for the run."""
    ports = Ports(None)
    assert [ports.of(ONE, 6100), ports.of(ONE, 6100)] == [6100, 6100]
