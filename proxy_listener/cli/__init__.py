"""The verbs. What each one needs beyond click is imported when it is called, so that the others start at once."""

from proxy_listener.cli import run, offline, network, doctor, keys, running  # noqa: I001  the order in which --help lists them
from proxy_listener.cli.verb import main

__all__ = ["doctor", "keys", "main", "network", "offline", "run", "running"]
