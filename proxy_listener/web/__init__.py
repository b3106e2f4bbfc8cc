"""The HTTP API, on the control socket always and on TCP where configured, and the page.

In: what app hands over as callables. Out: JSON, streams, the page. The rule of this room: whoever asks is a stranger
until the guard has let them through, and nothing that they send reaches anything but the callables.
"""

from proxy_listener.web.actions import Actions
from proxy_listener.web.doors import serve_control, serve_page

__all__ = ["Actions", "serve_control", "serve_page"]
