"""Attackers on the radio of a simulated house: further sources of its :class:`AirTraffic`."""

from proxy_listener.formats.bthome.frames import V2 as BTHOME
from proxy_listener.model.advertisement import PUBLIC, RANDOM
from proxy_listener.simulator.devices import Transmission
from proxy_listener.simulator.frames import advertisement, bthome_v2, frame, obj
from proxy_listener.simulator.ground_truth import Origin, SentFrame
from proxy_listener.simulator.seeded_random import random_for

HOUR = 3600.0


def replays(per_hour):
    """Copies of frames that were on air before, some with header bits changed that no tag protects."""

    def source(traffic, truth):
        chance, time = random_for(traffic.seed, "replays"), 0.0
        places = [room.place for room in traffic.rooms]
        while True:
            time += chance.expovariate(per_hour / HOUR)
            place, chosen = chance.choice(places), _recorded(chance, truth, time)
            if chosen is None:
                yield Transmission(time, chance.getrandbits(46), RANDOM, b"", place)
                continue
            data = chosen.data
            if data[5:7] == b"\x95\xfe" and chance.random() < 0.3:
                # Byte 8 is the high byte of the frame control: bit 0 there says "bound", and is in no nonce.
                data = data[:8] + bytes((data[8] ^ 0x01,)) + data[9:]
            copy = SentFrame(
                chosen.mac,
                time,
                chosen.counter,
                chosen.values,
                chosen.events,
                data,
                Origin.REPLAY,
                of=chosen,
                epoch=chosen.epoch,
            )
            for index in range(3):
                yield Transmission(time + index * 0.05, copy.mac, PUBLIC, data, place, copy)

    return source


def forgeries(per_hour):
    """In the name of devices that have a key: counters far ahead under a bad tag, plain objects, legacy versions."""

    def source(traffic, truth):
        chance, time = random_for(traffic.seed, "forgeries"), 0.0
        places = [room.place for room in traffic.rooms]
        # A forgery in the name of a device whose key the listener does not have cannot be recognised as one.
        keyed = [device for device in traffic.devices if device.key is not None and device.listed]
        while True:
            time += chance.expovariate(per_hour / HOUR)
            device = chance.choice(keyed)
            counter, lie = chance.getrandbits(32), obj(0x1004, b"\xe7\x03")
            key, version = chance.choice(((chance.randbytes(16), 5), (None, 5), (chance.randbytes(12), 3)))
            if device.profile.uuid == BTHOME:
                payload = bthome_v2(b"\x45\xe7\x03", mac=device.mac, counter=counter, key=key and chance.randbytes(16))
            else:
                payload = frame(
                    device.profile.product_id,
                    counter & 0xFF,
                    lie,
                    mac=device.mac,
                    key=key,
                    extended=counter >> 8,
                    version=version,
                )
            data = advertisement(payload, device.profile.uuid)
            forged = SentFrame(device.mac, time, counter, {"temperature": 99.9}, (), data, Origin.FORGED)
            yield Transmission(time, device.mac, PUBLIC, data, chance.choice(places), forged)

    return source


def _recorded(chance, truth, time):
    """Any genuine frame that was on air 5 s ago or earlier, if a few tries find one."""
    for _ in range(min(20, len(truth.frames))):
        sent = chance.choice(truth.frames)
        if sent.origin is Origin.GENUINE and sent.time < time - 5.0:
            return sent
    return None
