"""Addresses as people write them, and the structures of an advertising payload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.model.advertisement import (
    COMPANY,
    company_prefilter,
    local_name,
    mac_text,
    parse_mac,
    payloads,
    prefilter,
    rare_byte,
)
from proxy_listener.simulator import frames


@given(st.integers(0, 2**48 - 1))
def test_an_address_comes_back_from_its_text(address):
    """With colons, with dashes, bare, in either case."""
    text = mac_text(address)
    assert len(text) == 17
    for written in (text, text.lower(), text.replace(":", "-"), text.replace(":", ""), f" {text}\n"):
        assert parse_mac(written) == address


def test_the_first_byte_is_the_most_significant():
    """As it is printed on the device."""
    assert mac_text(0x582D34350521) == "58:2D:34:35:05:21"


@pytest.mark.parametrize(
    "text", ["", "58:2D:34:35:05", "58:2D:34:35:05:2", "58:2D:34:35:05:21:00", "58-2D:34-35:05-21", "5:82D:34:35:05:21"]
)
def test_what_is_no_mac_is_refused(text):
    """Two digits a pair, one kind of joint."""
    with pytest.raises(ValueError, match="is not a MAC"):
        parse_mac(text)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=8)), max_size=4), st.binary(max_size=3))
def test_every_service_data_is_found_in_order(elements, padding):
    """Between flags and zeros; a length that points outside the payload ends the walk, what came before it counts."""
    payload = b"\x02\x01\x06"
    for uuid, data in elements:
        payload += bytes((len(data) + 3, 0x16)) + uuid.to_bytes(2, "little") + data + bytes(len(padding))
    assert list(payloads(payload)) == elements
    assert list(payloads(payload + b"\x1f\x16\x95\xfe")) == elements


@given(st.binary(max_size=62))
def test_any_bytes_can_be_walked(payload):
    """Each element lies within the payload."""
    assert all(data in payload and 0 <= uuid <= 0xFFFF for uuid, data in payloads(payload))


@given(st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=4), st.integers(0, 0xFFFF), st.binary(max_size=20))
def test_the_prefilter_misses_no_service_data_of_its_uuids(uuids, uuid, data):
    """It may find more, wherever the bytes stand by chance; it never finds less."""
    payload = b"\x02\x01\x06" + bytes((len(data) + 3, 0x16)) + uuid.to_bytes(2, "little") + data
    assert prefilter(uuids)(payload) or uuid not in uuids


@given(st.integers(0, 0xFFFF), st.binary(max_size=20), st.binary(max_size=8))
def test_manufacturer_data_is_found_by_its_company(company, data, before):
    """Beside service data of the same number, which is another thing; the search misses none."""
    payload = frames.advertisement(before, company) + frames.advertisement(data, COMPANY | company, flags=False)
    assert list(payloads(payload)) == [(company, before), (COMPANY | company, data)]
    assert company_prefilter([COMPANY | company])(payload)
    assert rare_byte([COMPANY | company]) in payload


@given(st.lists(st.integers(0, 0xFFFF), min_size=2, max_size=4, unique=True), st.binary(max_size=20))
def test_several_companies_are_found_by_the_type_that_they_share(companies, data):
    """Each of them; manufacturer data of another one only by chance."""
    keys = [COMPANY | company for company in companies]
    for key in keys:
        payload = frames.advertisement(data, key)
        assert rare_byte(keys) in payload
        assert company_prefilter(keys)(payload)
    assert company_prefilter(keys)(b"\x02\x01\x06" + data) is None or b"\xff" in data


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        ("020106 0b09 4154435f413042314332", "ATC_A0B1C2"),
        ("0308 5052 020106", "PR"),
        ("020106", ""),
        ("0109", ""),
        ("0309 ff00", ""),
        ("0509 4154", ""),
        ("00 00 0309 4154", "AT"),
    ],
)
def test_the_local_name(payload, name):
    """Complete or short, wherever it stands; empty where there is none, or bytes that are no text."""
    assert local_name(bytes.fromhex(payload)) == name
