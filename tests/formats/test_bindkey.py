"""Bindkeys: the scheme from the length, the id, and no output that contains the key."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.formats.bindkey import Bindkey, bindkeys
from proxy_listener.model.secret import Secret


@pytest.mark.parametrize(("digits", "scheme"), [(24, "legacy"), (32, "ccm")])
def test_the_length_says_the_scheme(digits, scheme):
    """12 bytes are a legacy key, 16 bytes a CCM key; only the latter can check a tag."""
    key = Bindkey(Secret("0f" * (digits // 2)))
    assert key.scheme == scheme
    assert (key.unseal is None) is (scheme == "legacy")
    assert key.reveal() == b"\x0f" * (digits // 2)


@pytest.mark.parametrize("text", ["", "0f" * 13, "0f" * 17, "zz" * 16, "0f" * 16 + "0"])
def test_another_length_is_refused_without_the_text(text):
    """The error names the length, and quotes nothing."""
    with pytest.raises(ValueError, match=f"^{len(text)} characters, expected 24 or 32 hex digits$") as raised:
        Bindkey(Secret(text))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_the_id_names_a_key_without_revealing_it(one, other):
    """The same key has the same id; four bytes of another key's id differ."""
    first, second = (Bindkey(Secret(key.hex())) for key in (one, other))
    assert len(first.id) == 4
    assert (first.id == second.id) is (one == other)
    assert first.id == Bindkey(Secret(one.hex().upper())).id


def test_a_bindkey_is_not_shown():
    """Neither by repr, nor by str, nor by format, nor by pickling."""
    key = Bindkey(Secret("5a" * 16))
    assert {repr(key), str(key), f"{key}"} == {"***"}
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(key)


def test_a_key_of_24_digits_is_tried_with_its_padding_first():
    """A v5 dimmer's 16 bytes are the 12 of its key and FFFFFFFF (ble_monitor #999); one of 32 digits is itself only."""
    short, long = Secret("0a1b2c3d4e5f60718293a4b5"), Secret("5a" * 16)
    keys = bindkeys([short, long])
    assert [key.scheme for key in keys] == ["ccm", "legacy", "ccm"]
    assert [key.reveal().hex() for key in keys] == [short.reveal() + "ffffffff", short.reveal(), long.reveal()]
    assert keys[0].id == Bindkey(Secret(short.reveal() + "FFFFFFFF")).id
