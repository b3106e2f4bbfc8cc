"""Public reports on the air of a simulated house: what a running service makes of them, live and on MQTT."""

import json
from pathlib import Path

import pytest
import tomlkit
from support.fake_broker import FakeBroker
from support.service_house import until

from proxy_listener.config import load
from proxy_listener.model.advertisement import parse_mac
from proxy_listener.service import service
from proxy_listener.simulator.house import House

pytestmark = pytest.mark.mdns("listed")

REPORTS = {
    case["name"]: case for case in json.loads((Path(__file__).parent.parent / "data" / "reports.json").read_text())
}
HEARD = ("lock-manufacturer-data", "mcn002-unlock-inside", "s800-weight")
"""Of three devices, each with its bindkey."""


async def test_locks_and_a_scale_reach_the_live_state_and_mqtt(tmp_path):
    """Every room hears each advertisement, also the one without service data; each is one reading."""
    cases = [REPORTS[name] for name in HEARD]
    house = House("reports", 2, 0, neighbours=0)
    path = tmp_path / "devices.toml"
    async with FakeBroker().serving() as broker, house.running(announced=False):
        document = house.configuration(static=True)
        document["device"] = [{"mac": mac, "bindkey": key} for case in cases for mac, key in case["bindkeys"].items()]
        document["sink"] = {"mqtt": {"port": broker.port}}
        path.write_text(tomlkit.dumps(document))
        path.chmod(0o600)
        async with service(load(path), tmp_path / "state") as running:
            await until(lambda: running.live() == 2)
            for advert in (advert for case in cases for advert in case["capture"]):
                for proxy in house.proxies:
                    address, data = parse_mac(advert["mac"]), bytes.fromhex(advert["data"])
                    assert proxy.node.hear(address, 0, advert["rssi"], data)
            await until(lambda: sum(device.readings for device in running.view.devices()) == len(cases))
            values = {
                device.model: {name: value for name, (value, _) in device.values.items()}
                for device in running.view.devices()
            }
            await until(lambda: len(running.journal.reader.devices()) == len(cases))
            await broker.until(1)
            (event,) = map(json.loads, broker.payloads("/event/"))
    assert values == {
        "Zelkova": {"battery": 90},
        "XMZNMS09LM": {"lock": True, "lock_method": "manual", "key_id": "no key"},
        "MJTZC04YM": {"mass": 63.15},
    }
    assert (event["event_type"], event["position"]) == ("unlock_inside_the_door", "inside")
