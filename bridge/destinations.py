"""Which addresses connectors may reach: never a cloud's metadata service, and inside only what the operator allows.

A URL of the config, an answer that leads elsewhere or a name that somebody else controls must not turn the bridge into
a way to the machine's own credentials (server-side request forgery).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NEVER: tuple[tuple[str, tuple[Network, ...]], ...] = tuple(
    (reason, tuple(ip_network(each) for each in networks))
    for reason, networks in (
        ("is a link-local address", ("169.254.0.0/16", "fe80::/10")),
        (
            "is the metadata service of a cloud",
            # Alibaba, Oracle, Azure; AWS, Google. All others answer on a link-local address.
            ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
        ),
        ("is no address of a machine", ("0.0.0.0/8", "::")),
        ("is an address of many machines", ("224.0.0.0/4", "255.255.255.255", "ff00::/8")),
    )
)
"""What is always refused, and why."""

_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)


@dataclass(frozen=True, slots=True)
class Destinations:
    """What may be dialled. `allow` names the inside networks (private, loopback) that may be reached, empty: all of
    them; `deny` names what may not, inside or outside, and goes over `allow`."""

    allow: Sequence[Network] = ()
    deny: Sequence[Network] = ()

    def refusal(self, host: str) -> str | None:
        """Why the address `host` may not be dialled, for people; None where it may be, or is no address but a name."""
        try:
            address = ip_address(host.partition("%")[0])  # without the zone of a link-local address
        except ValueError:
            return None
        meant = _embedded(address) or (address,)
        forms = (address, *meant)
        for reason, networks in NEVER:
            if _is_in(forms, networks):
                return reason
        if _is_in(forms, self.deny):
            return "is in http.deny"
        inside = [form for form in meant if not form.is_global]
        if self.allow and inside and not all(_is_in((form, address), self.allow) for form in inside):
            return "is inside, and not in http.allow"
        return None


def _is_in(addresses: Sequence[Address], networks: Sequence[Network]) -> bool:
    return any(address in network for address in addresses for network in networks)


def _embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses an IPv6 address may stand for: mapped, translated (NAT64), or tunnelled."""
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    number = int(address)
    if address in _NAT64_LOCAL:
        return _of_local_prefix(number)
    is_last = address in _NAT64 or address in _TRANSLATED or (number >> 32 & 0xFFFFFFFF) in _ISATAP
    # ::1 is no IPv4 address, but ::169.254.169.254 is one.
    if is_last or (address in _COMPATIBLE and number > 0xFFFF):
        return (IPv4Address(number & 0xFFFFFFFF),)
    return ()


def _of_local_prefix(number: int) -> tuple[IPv4Address, ...]:
    """RFC 8215 leaves the length of the prefix to the network; RFC 6052 says where the address is, bits 64 to 71 left
    out. What a wrong length reads is mostly zeros, so that 0.0.0.0/8 counts only where nothing else is read."""
    without_gap = (number >> 64) << 56 | (number & (1 << 56) - 1)
    ends = [IPv4Address(without_gap >> (120 - length - 32) & 0xFFFFFFFF) for length in (48, 56, 64)]
    read = [*ends, IPv4Address(number & 0xFFFFFFFF)]
    return tuple(one for one in read if int(one) >> 24) or tuple(read)
