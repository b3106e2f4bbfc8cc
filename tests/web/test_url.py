"""The page's URL for other machines."""

import ipaddress

import pytest

from proxy_listener.model.settings import WebSettings
from proxy_listener.web.url import page_url


@pytest.mark.parametrize(
    ("listen", "hosts", "url"),
    [
        (None, (), None),
        (None, ("pi.local",), None),
        ("127.0.0.1:8099", (), None),
        ("localhost:8099", (), None),
        ("[::1]:8099", (), None),
        ("192.0.2.7:8099", (), "http://192.0.2.7:8099"),
        ("[2001:db8::7]:8099", (), "http://[2001:db8::7]:8099"),
        ("0.0.0.0:8099", ("pi.local", "pi"), "http://pi.local:8099"),
        ("[::]:8099", ("pi.local:80",), "http://pi.local:8099"),
    ],
)
def test_the_url_is_one_that_other_machines_can_use(listen: str | None, hosts: tuple[str, ...], url: str | None):
    """A page on loopback has none; the first configured name counts more than an address."""
    assert page_url(WebSettings(listen=listen, hosts=hosts)) == url


def test_a_page_on_all_addresses_has_one_of_this_machine():
    """That of the default route; none where there is no network."""
    url = page_url(WebSettings(listen="0.0.0.0:8099"))
    assert url is None or ipaddress.ip_address(url.removeprefix("http://").removesuffix(":8099")).version == 4
