"""A client's session: what waits, what is lost, when it is dropped. Over a transport that takes what it is told to."""

import asyncio

import pytest

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import ESPHOME_2026_10, NodeTiming
from proxy_listener.node.messages import api
from proxy_listener.node.session import SessionContext
from proxy_listener.node.wire import PlainWire, WireError
from proxy_listener.share.session import ANSWERS, MESSAGES, QUEUE, SharedSession, SharedWire


class Pipe(asyncio.Transport):
    """Keeps what is written; ``full`` bytes count as not sent yet."""

    def __init__(self):
        super().__init__()
        self.written, self.full, self.aborted = bytearray(), 0, False

    def get_extra_info(self, name, default=None):
        return ("192.0.2.7", 40_000) if name == "peername" else default

    def set_write_buffer_limits(self, high=None, low=None):
        self.limits = high, low

    def get_write_buffer_size(self):
        return self.full

    def is_closing(self):
        return self.aborted

    def write(self, data):
        self.written += data

    def abort(self):
        self.aborted = True

    def close(self):
        self.aborted = True


def connected(full=lambda: False):
    context = SessionContext(
        "node",
        ESPHOME_2026_10,
        NodeTiming(),
        None,
        lambda _: PlainWire(),
        lambda *_: None,
        lambda _: True,
        lambda _: None,
        lambda _: None,
    )
    session, pipe = SharedSession(context, full), Pipe()
    session.connection_made(pipe)
    hello = api.HelloRequest(client_info="test").SerializeToString()
    session.data_received(bytes((0, len(hello), 1)) + hello)
    pipe.written.clear()
    return session, pipe


async def test_a_message_is_passed_on_as_it_came():
    """Its number, its length, its bytes."""
    session, pipe = connected()
    session.forward(b"abc")
    assert bytes(pipe.written) == b"\x00\x03\x5dabc"
    session.connection_lost(None)


async def test_what_waits_is_bounded_and_the_oldest_is_lost():
    """And the rest follows in order when the client reads again."""
    session, pipe = connected()
    session.pause_writing()
    for number in range(200):
        session.forward(bytes((number,)) * 1000)
    assert (bytes(pipe.written), session.dropped) == (b"", 200 - QUEUE // 1000)
    session.resume_writing()
    assert pipe.written[-1] == 199
    assert pipe.written.count(b"\x5d" + bytes((200 - QUEUE // 1000,))) == 1
    session.connection_lost(None)


async def test_answers_do_not_wait_behind_advertisements():
    """They are written at once; a client that lets a quarter of a megabyte of them wait is dropped."""
    session, pipe = connected()
    session.pause_writing()
    session.forward(b"abc")
    session.send(api.PingResponse())
    assert bytes(pipe.written) == b"\x00\x00\x08"
    pipe.full = ANSWERS + 1
    session.send(api.PingResponse())
    assert pipe.aborted
    session.connection_lost(None)


async def test_a_client_beyond_the_limit_is_closed_when_it_says_hello():
    """Not before: only then it proved the key."""
    session, pipe = connected(full=lambda: True)
    assert (session.greeted, session.is_over(), bytes(pipe.written)) == (False, True, b"")


async def test_a_client_that_floods_is_dropped():
    """Beyond five hundred messages at once."""
    session, pipe = connected()
    session.data_received(b"\x00\x00\x07" * 2000)
    assert pipe.aborted
    assert pipe.written.count(b"\x00\x00\x08") <= MESSAGES
    session.connection_lost(None)


async def test_a_message_that_cannot_be_handled_ends_its_session():
    """And raises nothing to the loop."""
    session, pipe = connected()
    session._hello = None
    session.data_received(b"\x00\x00\x01")
    assert pipe.aborted
    session.connection_lost(None)


async def test_who_is_there():
    """Its address, and whether it said hello."""
    session, _ = connected()
    assert (session.address, session.greeted, session.client) == ("192.0.2.7", True, "test")
    session.connection_lost(None)


def test_a_wrong_key_is_told():
    """Once for each handshake that fails."""
    told = []
    wire = SharedWire(
        Secret("bOFFzzvfpg5DB94DuBGLXD/hMnhpDKgP9UQyBulwWVU="), "node", "a0b1c2d3e4f5", lambda: told.append(1)
    )
    list(wire.receive(b"\x01\x00\x00"))
    with pytest.raises(WireError, match="MAC failure"):
        list(wire.receive(b"\x01\x00\x31\x00" + bytes(48)))
    assert told == [1]
