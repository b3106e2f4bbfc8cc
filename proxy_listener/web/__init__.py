"""The HTTP API, on the control socket and, where configured, on TCP, with the page.

In: the view, the journal, and callables of the service. Out: JSON, streams, the page. On TCP, :mod:`.guard` checks
every request; a request can reach only what the service handed in.
"""

from proxy_listener.web.interface import Actions, serve_control, serve_page

__all__ = ["Actions", "serve_control", "serve_page"]
