"""What connectors may dial: never a metadata service, however its address is spelled; inside what the config allows."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from bridge.destinations import Destinations

METADATA = [
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::6464:64c8",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:a9:fe:a9fe::",
    "64:ff9b:1:0:a9:fea9:fe00:0",
    "2002:a9fe:a9fe::",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2001:0:808:808:8000:63bf:5601:5601",
    "2001:db8::5efe:a9fe:a9fe",
    "2001:db8::200:5efe:169.254.169.254",
]
NOWHERE = ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.255.255.250", "255.255.255.255", "ff02::1", "::ffff:0.0.0.0"]
INSIDE = ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.10", "172.16.0.1", "100.64.0.1", "fd12::1", "::ffff:10.1.2.3"]
OUTSIDE = [
    "8.8.8.8",
    "2606:4700::1111",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:808:8:800::",
    "2002:808:808::1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", METADATA + NOWHERE)
def test_link_local_and_metadata_addresses_are_refused_in_every_spelling_whatever_is_allowed(address: str) -> None:
    everything = Destinations(allow=(ip_network("0.0.0.0/0"), ip_network("::/0")))
    assert Destinations().refusal(address)
    assert everything.refusal(address)


@pytest.mark.parametrize("address", INSIDE + OUTSIDE)
def test_what_is_inside_or_outside_may_be_reached_unless_the_config_says_otherwise(address: str) -> None:
    assert Destinations().refusal(address) is None


@pytest.mark.parametrize("address", INSIDE)
def test_allow_narrows_what_is_inside(address: str) -> None:
    crm = Destinations(allow=(ip_network("10.9.0.0/16"), ip_network("fd99::/64")))
    assert crm.refusal(address) == "is inside, and not in http.allow"
    assert crm.refusal("10.9.1.1") is crm.refusal("fd99::1") is crm.refusal("::ffff:10.9.1.1") is None


@pytest.mark.parametrize("address", OUTSIDE)
def test_allow_says_nothing_of_what_is_outside(address: str) -> None:
    assert Destinations(allow=(ip_network("10.9.0.0/16"),)).refusal(address) is None


@pytest.mark.parametrize("address", ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"])
def test_deny_goes_over_allow_in_every_spelling(address: str) -> None:
    denied = Destinations(allow=(ip_network("8.8.8.8/32"),), deny=(ip_network("8.8.8.0/24"),))
    assert denied.refusal(address) == "is in http.deny"
    assert denied.refusal("9.9.9.9") is None


def test_a_name_is_no_address() -> None:
    assert Destinations().refusal("metadata.google.internal") is None
