"""Those who look at every advertisement: bounded, and nothing while nobody looks."""

import asyncio
import json
from contextlib import aclosing

from structlog.testing import capture_logs

from proxy_listener.capture.live import WAITING, LiveCapture
from proxy_listener.model.outcome import Outcome

MAC = 0xA4C1380283F4


class Ears:
    """A listener, and the place where proxies call what they are told to."""

    def __init__(self):
        self.heard = 0
        self.calls = self.hear
        self.capture = LiveCapture(self.hear, self.listen)

    def hear(self, *_call):
        self.heard += 1
        return Outcome.REPEAT

    def listen(self, hear):
        self.calls = hear

    def say(self, number=0):
        return self.calls("kitchen", MAC, 0, -60, number.to_bytes(2, "big"), 1_732_300_000.0, float(number))


async def test_a_looker_sees_what_the_listener_hears():
    """A capture's line each, and the outcome is the listener's."""
    ears = Ears()
    async with aclosing(ears.capture.lines()) as lines:
        first = asyncio.create_task(anext(lines))
        await asyncio.sleep(0)
        assert ears.say(7) is Outcome.REPEAT
        assert json.loads(await first) == {
            "time": 1_732_300_000.0,
            "proxy": "kitchen",
            "mac": "A4:C1:38:02:83:F4",
            "address_type": "public",
            "rssi": -60,
            "data": "0007",
        }
    assert ears.heard == 1


async def test_while_nobody_looks_the_listener_is_called_itself():
    """Also after the last of two lookers went, and not before."""
    ears = Ears()
    assert ears.calls == ears.hear
    one, two = ears.capture.lines(), ears.capture.lines()
    waiting = [asyncio.create_task(anext(lines)) for lines in (one, two)]
    await asyncio.sleep(0)
    ears.say()
    assert await waiting[0] == await waiting[1]
    await one.aclose()
    assert ears.calls != ears.hear
    await two.aclose()
    assert ears.calls == ears.hear


async def test_a_slow_looker_loses_the_oldest_and_is_told_once():
    ears = Ears()
    async with aclosing(ears.capture.lines()) as lines:
        first = asyncio.create_task(anext(lines))
        await asyncio.sleep(0)
        with capture_logs() as said:
            for number in range(WAITING + 500):
                ears.say(number)
            seen = [json.loads(await first), *[json.loads(await anext(lines)) for _ in range(WAITING - 1)]]
    assert [int(line["data"], 16) for line in seen] == list(range(500, WAITING + 500))
    assert [line["log_level"] for line in said] == ["warning"]
    assert ears.heard == WAITING + 500
