"""The files of init --print: systemd and container engines accept them, and the package has them."""

import configparser
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from proxy_listener.cli import main
from proxy_listener.cli.init import SERVICE_FILES, hidden_program, service_file

ROOT = Path(__file__).parents[2]


class Unit(configparser.RawConfigParser):
    """A unit's sections. Of a repeated key the last value is kept."""

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
        self.optionxform = str
        self.read_string(text)


@pytest.fixture
def unit():
    return Unit(service_file("systemd"))["Service"]


def test_each_file_is_printed_and_nothing_is_written(call, tmp_path):
    """Standard output is the file and nothing else."""
    for kind in SERVICE_FILES:
        result = call("init", "--print", kind)
        assert (result.exit_code, result.stdout) == (0, service_file(kind))
    assert list(tmp_path.iterdir()) == []


def test_the_unit_starts_the_program_that_printed_it(unit):
    """It uses an existing verb, and the copy of the configuration that systemd makes."""
    program, verb, *rest = unit["ExecStart"].split()
    assert Path(program) == Path(sys.prefix) / "bin" / "proxy-listener"
    assert Path(program).is_file()
    assert verb in main.list_commands(None)
    assert rest == ["-c", "%d/devices.toml"]
    assert unit["LoadCredential"] == "devices.toml:/etc/proxy-listener/devices.toml"


def test_the_unit_has_no_needless_rights(unit):
    """No capability and no Bluetooth socket. A wrong configuration is not restarted."""
    assert (unit["CapabilityBoundingSet"], unit["AmbientCapabilities"]) == ("", "")
    assert set(unit["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}
    expected = {
        "Type": "notify",
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "StateDirectory": "proxy-listener",
        "ConfigurationDirectory": "proxy-listener",
        "RestartPreventExitStatus": "78",
        "ExecReload": "/bin/kill -HUP $MAINPID",
    }
    assert expected.items() <= dict(unit).items()


def test_the_watchdog_is_longer_than_three_of_its_notifications(unit):
    """Three of them may be missed."""
    from proxy_listener.service import HOUSEKEEPING

    assert int(unit["WatchdogSec"]) > 3 * HOUSEKEEPING


@pytest.mark.systemd
def test_systemd_accepts_the_unit(tmp_path):
    """systemd-analyze warns about unknown keys and missing programs; it prints nothing."""
    path = tmp_path / "proxy-listener.service"
    path.write_text(service_file("systemd"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    about_ours = [line for line in done.stderr.splitlines() if "proxy-listener" in line]
    assert (done.returncode, about_ours) == (0, [])


def test_a_program_that_the_unit_hides_is_reported():
    """ProtectHome hides home directories: the environment may be in one, or its Python."""
    assert "hides /home/someone/.venv from" in hidden_program(["/home/someone/.venv", "/usr"])
    assert "hides /root/.pyenv from" in hidden_program(["/opt/proxy-listener", "/root/.pyenv"])
    assert hidden_program(["/opt/proxy-listener", "/usr"]) is None


def test_the_container_file_fits_the_project():
    """Every file that it copies exists. It does not run as root, and its health check is a verb."""
    text = re.sub(r"\\\n", " ", service_file("containerfile"))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    assert {word for word, _ in lines} <= {
        *("FROM", "COPY", "RUN", "LABEL", "ENV", "USER", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    copied = [name for word, rest in lines if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    told = dict(lines)
    assert told["USER"] == "10001:10001"
    assert told["ENTRYPOINT"] == '["proxy-listener"]'
    health = re.search(r'CMD \["proxy-listener", "(\w+)"\]', told["HEALTHCHECK"])
    assert health[1] in main.list_commands(None)
    assert "org.opencontainers.image.licenses" in told["LABEL"]


def test_compose_gives_the_network_of_the_host_and_no_rights():
    """mDNS needs the network of the host."""
    (service,) = yaml.safe_load(service_file("compose"))["services"].values()
    assert service["network_mode"] == "host"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["build"]["dockerfile"] == "proxy_listener/deploy/Containerfile"
    assert "ports" not in service


def test_the_package_has_the_files(tmp_path):
    """The wheel and the source archive."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    (source,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        installed = set(archive.namelist())
    with tarfile.open(source) as archive:
        given = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {f"proxy_listener/deploy/{name}" for name in SERVICE_FILES.values()}
    assert wanted <= installed
    assert wanted | {"README.md", "LICENSE", "devices.toml", "pyproject.toml"} <= given


def test_systemd_is_notified_of_start_reload_and_stop(tmp_path):
    """Type=notify, WatchdogSec and ExecReload need these notifications in this order."""
    (tmp_path / "devices.toml").write_text('[discovery]\naccept = "listed"\ninterfaces = ["127.0.0.1"]\n')
    words = [sys.executable, "-m", "proxy_listener", "run", "-c", tmp_path / "devices.toml", "--state", tmp_path / "s"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)

        def heard(word: str) -> list[str]:
            said = []
            while word not in said:
                said += manager.recv(4096).decode().splitlines()
            return said

        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as service:
            said: list[str] = []
            while not {"READY=1", "WATCHDOG=1"} <= set(said):
                said += manager.recv(4096).decode().splitlines()
            assert any(line.startswith("STATUS=") for line in said)
            service.send_signal(signal.SIGHUP)
            assert "RELOADING=1" in heard("READY=1")
            service.send_signal(signal.SIGTERM)
            heard("STOPPING=1")
            service.communicate(timeout=10)
    assert service.returncode == 0
