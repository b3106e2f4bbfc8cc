"""Which nodes are spoken to, and with which key: DESIGN section 3's ``[discovery] accept`` as a function.

An entry, what mDNS hints and what is remembered in; a key, a password, or the verdict why not, out. The rules: an
entry's key is tried on that entry only, and a node that once proved a key is never spoken to in plaintext again.
"""

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import ProxyState
from proxy_listener.proxies.causes import VERDICTS, Verdict
from proxy_listener.proxies.remembered import Remembered


@attrs.frozen
class Access:
    """How a node is spoken to. ``noise_psk`` None: in plaintext."""

    noise_psk: Secret | None
    password: Secret | None = None


def access(
    entry: ProxySettings | None,
    discovery: DiscoverySettings,
    remembered: Remembered,
    *,
    mac: Address | None,
    encrypts: bool | None,
) -> Access | Verdict:
    """How to speak to a node.

    ``mac``: as far as known, perhaps only claimed. ``encrypts``: whether the node seems to want Noise; None where it
    did not say. That is believed only with ``accept = "all"``, which takes plaintext nodes as well.
    """
    ever_encrypted = mac is not None and remembered.encrypted(mac)
    plain_allowed = discovery.accept == "all"
    if entry is not None:
        key, password = _entry_key(entry, discovery, plain_allowed=plain_allowed, encrypts=encrypts), entry.password
        if key is None and ever_encrypted:
            key = discovery.noise_psk
    elif discovery.accept == "listed" or (discovery.noise_psk is None and not plain_allowed):
        return VERDICTS[ProxyState.NOT_ACCEPTED]
    elif encrypts is False and not ever_encrypted and not plain_allowed:
        return VERDICTS[ProxyState.NOT_ACCEPTED].because("it speaks plaintext, and has no entry")
    else:
        wants_key = ever_encrypted or encrypts is not False or not plain_allowed
        key, password = (discovery.noise_psk if wants_key else None), None
    if key is not None:
        return Access(key, password)
    if ever_encrypted:
        return VERDICTS[ProxyState.NEEDS_KEY]
    return Access(None, password)


def _entry_key(
    entry: ProxySettings, discovery: DiscoverySettings, *, plain_allowed: bool, encrypts: bool | None
) -> Secret | None:
    """The entry's own key; else the shared one, unless it has a password, which only firmware before Noise has."""
    if entry.noise_psk is not None:
        return entry.noise_psk
    if entry.password is not None or (plain_allowed and encrypts is False):
        return None
    return discovery.noise_psk
