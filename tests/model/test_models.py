"""A model and its buttons."""

from proxy_listener.model.events import BUTTON, button
from proxy_listener.model.models import Buttons, Model


def test_the_kinds_of_buttons():
    """Each name once, in the order on air; one button where the number says nothing; none where they are not known."""
    several = Buttons({0: ("button_left",), 1: ("button_right",), 2: ("button_left", "button_right")})
    assert several.kinds == (button("left"), button("right"))
    assert Buttons({0: ("button",)}).kinds == Buttons(whatever=True).kinds == (BUTTON,)
    assert Buttons(numbered=True).kinds == ()


def test_only_legacy_encryption_is_legacy():
    assert Model("YLYK01YL", "Remote Control", encryption="legacy").legacy
    assert not Model("LYWSD03MMC", "Thermometer", encryption="v4/v5").legacy
