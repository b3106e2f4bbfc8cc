"""A secret: usable, comparable, and shown nowhere."""

import copy
import pickle

import attrs
import pytest

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import ProxySettings

TEXT = "correct horse battery staple"


def test_no_form_of_text_shows_it():
    """Alone, in a container, and as a field of settings."""
    secret = Secret(TEXT)
    settings = ProxySettings(name="kitchen", noise_psk=secret)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", repr([secret]), repr(settings), str(vars)]
    assert not any(TEXT in text for text in shown)
    assert secret.reveal() == TEXT
    assert TEXT not in repr(attrs.asdict(settings))


def test_it_cannot_be_written_or_copied_by_accident():
    """Pickling is refused, and so is what rests on it."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(TEXT))
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(Secret(TEXT))


def test_secrets_are_equal_by_their_text_and_always_true():
    """So that a reload sees what changed; an empty one is one."""
    assert Secret(TEXT) == Secret(TEXT)
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret(TEXT) != Secret(TEXT + "r")
    assert Secret(TEXT) != TEXT
    assert Secret("")
    assert len(Secret(TEXT)) == len(TEXT)
