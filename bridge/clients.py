"""Where a request comes from, as far as it can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request: `address` (None where it cannot be told), and whether an unknown proxy stood between.

    `hidden` means that somebody forwarded the request whom `server.trusted_proxies` does not name: the address is that
    proxy's, and the real client may be anybody.
    """

    address: Address | None
    hidden: bool

    def is_within(self, networks: Sequence[Network]) -> bool:
        """Whether the address lies in one of the networks."""
        return self.address is not None and any(self.address in network for network in networks)


def find_client(environ: Mapping[str, object], trusted_proxies: Sequence[Network]) -> Client:
    """The client of a WSGI request: the peer, or what trusted proxies say of him in X-Forwarded-For.

    The header is read from the right: every proxy appends whom it got the request from, and only as long as they are
    trusted is the next word worth anything.
    """
    forwarded = [part.strip() for part in str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",") if part.strip()]
    address = _read(str(environ.get("REMOTE_ADDR", "")))
    while forwarded and Client(address, hidden=False).is_within(trusted_proxies):
        address = _read(forwarded.pop())
    trusted = Client(address, hidden=False).is_within(trusted_proxies)
    return Client(address, hidden=bool(forwarded) and not trusted and "HTTP_X_FORWARDED_FOR" in environ)


def _read(text: str) -> Address | None:
    try:
        address = ip_address(text.removeprefix("[").partition("]")[0] if text.startswith("[") else text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
