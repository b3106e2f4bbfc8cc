"""The live table of a terminal."""

import io

import pytest
from rich.console import Console
from support.control_service import BEDROOM

from proxy_listener.cli.screen import LogLines, Screen, fitting
from proxy_listener.web.documents import device_document

NOW = 100_000.0


def house(count):
    document = device_document(BEDROOM, NOW)
    return [document | {"mac": str(n), "name": f"Living room climate {n}", "heard_age": float(n)} for n in range(count)]


def drawn(screen, columns, lines):
    console = Console(file=io.StringIO(), width=columns, height=lines)
    console.print(screen.drawn(columns, lines))
    return console.file.getvalue().splitlines()


def screen(devices, logged):
    made = Screen(None, LogLines(), ["page: http://127.0.0.1:8099/"], ["12 s"])
    made.devices = devices
    for number in range(logged):
        made.log.write(f"2026-11-26T19:50:{number:02}Z info     located  device=" + "x" * 100 + "\n")
    return made


@pytest.mark.parametrize("count", [0, 1, 12, 16, 17, 40])
@pytest.mark.parametrize("logged", [0, 2, 30])
@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50), (40, 12)])
def test_no_frame_is_larger_than_the_terminal(count, logged, columns, lines):
    """Each device has one line; the log gets what is left, and three lines at least."""
    shown = drawn(screen(house(count), logged), columns, lines)
    assert len(shown) < lines
    assert max(map(len, shown)) <= columns
    assert shown[0].startswith("page: http")
    log = [line for line in shown if line.startswith("19:50:")]
    assert len(log) >= min(3, logged)
    assert not log or log[-1].startswith(f"19:50:{logged - 1:02} info")


def test_the_demo_s_dozen_fits_a_terminal_of_80_by_24_with_its_values():
    shown = drawn(screen(house(12), 5), 80, 24)
    assert sum("21.3 °C, battery 87 %" in line for line in shown) == 12
    assert "12 s" in shown


def test_devices_that_do_not_fit_are_those_longest_unheard_and_are_counted():
    shown = drawn(screen(house(40)[::-1], 0), 80, 24)
    names = [line.split("  ")[0] for line in shown if "21.3" in line]
    assert names == [f"Living room climate {n}" for n in range(len(names) - 1, -1, -1)]
    assert f"and {40 - len(names)} more devices" in shown
    assert fitting(house(3), 3) == (house(3), 0)
