"""Without the oracle extra the client stack of ``test_bleak.py`` is not there, and neither are its base classes."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("bleak_esphome") else ["test_bleak.py"]
