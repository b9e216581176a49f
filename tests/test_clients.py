"""Who sent a request, as far as it can be believed."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from bridge.clients import Client, find_client

PROXIES = [ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32")]


def found(peer: str, forwarded: str | None = None) -> Client:
    environ = {"REMOTE_ADDR": peer, **({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})}
    return find_client(environ, PROXIES)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address", "hidden"),
    [
        ("203.0.113.9", None, "203.0.113.9", False),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9", True),
        ("10.1.2.3", None, "10.1.2.3", False),
        ("10.1.2.3", "198.51.100.1", "198.51.100.1", False),
        ("127.0.0.1", "198.51.100.1, 10.9.9.9", "198.51.100.1", False),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9", True),
        ("10.1.2.3", " 198.51.100.1 ,", "198.51.100.1", False),
        ("10.1.2.3", "[2001:db8::1]", "2001:db8::1", False),
        ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1", False),
        ("10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1", False),
        ("10.1.2.3", "unknown", None, False),
        ("", None, None, False),
    ],
)
def test_the_client_is_whom_the_last_trusted_proxy_saw(
    peer: str, forwarded: str | None, address: str | None, hidden: bool
) -> None:
    assert found(peer, forwarded) == Client(address and ip_address(address), hidden)


def test_an_unknown_address_is_within_no_network() -> None:
    assert not found("nobody").is_within([ip_network("0.0.0.0/0"), ip_network("::/0")])
    assert found("8.8.8.8").is_within([ip_network("0.0.0.0/0")])
    assert not found("8.8.8.8").is_within([ip_network("::/0")])
