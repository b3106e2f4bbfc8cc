"""The verbs of the command line. A verb's module is imported when the verb is called, so that each starts fast."""

from proxy_listener.cli.verb import main

__all__ = ["main"]
