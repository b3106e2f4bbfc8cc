"""The first ``devices.toml``: what ``init`` was told in, the file's text out. Every value goes through tomlkit."""

import tomlkit
from tomlkit.items import AoT, Table

from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings
from proxy_listener.model.text import loopback

HEAD = """\
# The configuration of proxy-listener. `proxy-listener check` says what it would make run.
# Every key that there is stands, with its meaning, in the devices.toml of the project's repository.
"""


class Beginning:
    """Collects answers. ``discovery``: under which the nodes found are asked, each as if it had an entry."""

    def __init__(self, discovery: DiscoverySettings) -> None:
        self.discovery = discovery
        self._proxies: list[Table] = []
        self._broker: Table | None = None
        self._page: Table | None = None

    def proxy(self, name: str, mac: Address | None, room: str, key: Secret | None) -> None:
        """An entry for a node."""
        table = tomlkit.table()
        table["name"] = name
        if mac is not None:
            table["mac"] = mac_text(mac)
        table["room"] = room
        if key is not None:
            table["noise_psk"] = key.reveal()
        table.add(tomlkit.nl())
        self._proxies.append(table)

    def broker(self, host: str, user: str, password: str, encrypted: bool) -> None:
        """Readings go to this MQTT broker; ``encrypted``: by TLS, else the password is sent in the open."""
        table = tomlkit.table()
        table["host"] = host
        if user:
            table["user"] = user
            if password:
                table["password"] = password
            if not loopback(host):
                table["tls" if encrypted else "insecure"] = True
        table.add(tomlkit.nl())
        self._broker = table

    def page(self, listen: str) -> None:
        """The page is served there."""
        self._page = tomlkit.table().add("listen", listen)

    def text(self) -> str:
        """The file."""
        document = tomlkit.parse(HEAD)
        document.add(tomlkit.nl())
        discovery = tomlkit.table()
        discovery["accept"] = "keyed"
        if self.discovery.noise_psk is not None:
            discovery["noise_psk"] = self.discovery.noise_psk.reveal()
        if self.discovery.interfaces:
            discovery["interfaces"] = list(self.discovery.interfaces)
        discovery.add(tomlkit.nl())
        document["discovery"] = discovery
        if self._proxies:
            document["proxy"] = AoT(self._proxies)
        sinks = tomlkit.table(is_super_table=True)
        if self._broker is not None:
            sinks["mqtt"] = self._broker
        else:
            sinks["jsonl"] = tomlkit.table().add("path", "-")
        document["sink"] = sinks
        if self._page is not None:
            document.add(tomlkit.nl())
            document["web"] = self._page
        return document.as_string()
