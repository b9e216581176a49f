"""Single values of the configuration, each with an error that shows how to write it."""

from __future__ import annotations

import difflib
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

import phonenumbers
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bridge.model import EVENT_TYPES

Network = IPv4Network | IPv6Network


def matching_types(pattern: str) -> list[str]:
    """The event types a pattern means; only `*` is special in it."""
    expression = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    return [each for each in EVENT_TYPES if expression.fullmatch(each)]


def _network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f'"{value}" is no network: write one such as 10.0.0.0/8 or 2001:db8::/32') from None
    if "/" in value and str(network.network_address) != str(ip_address(value.split("/")[0])):
        raise ValueError(f'"{value}" is an address within a network: the network is {network}')
    return network


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or "__" in name:
        raise ValueError(f'"{name}" is no name: lower-case letters, digits and single underscores, a letter first')
    return name


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be the address the PBX reaches, such as https://calls.example.com")
    return url.rstrip("/")


def _region(region: str) -> str:
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f'"{region}" is no region: write two capital letters such as TR or DE')
    return region


def _store_url(secret: SecretStr) -> SecretStr:
    # The URL is not shown: it may hold a password.
    url = secret.get_secret_value()
    if url.startswith("sqlite:"):
        if not re.fullmatch(r"sqlite:///(?!:memory:).+", url):
            raise ValueError("must name a file, as events are kept on disk: write sqlite:///var/callbridge.db")
        return secret
    if not re.match(r"postgresql(\+psycopg)?:", url):
        raise ValueError(f"must be an SQLite file or a PostgreSQL database: write {_STORES}")
    if not re.fullmatch(r"[^:]+://[^/?#]*/[^/?#]+(\?[^#]*)?", url):
        raise ValueError("must name a database: write postgresql+psycopg://user:password@host/callbridge")
    return secret


_STORES = "sqlite:///var/callbridge.db or postgresql+psycopg://user:password@host/callbridge"


def _token(token: SecretStr) -> SecretStr:
    if not token.get_secret_value().strip():
        raise ValueError("a token must not be empty")
    if "/" in token.get_secret_value():
        raise ValueError('a token has no "/": it is one part of the path in /event/<token>')
    return token


def _proxy_url(url: SecretStr) -> SecretStr:
    # The URL is not shown: it may hold a password.
    if not re.fullmatch(r"http://[^/\s]+/?", url.get_secret_value()):
        raise ValueError("must be the address of an HTTP proxy, such as http://proxy.example.com:3128")
    return url


def _pattern(pattern: str) -> str:
    if not matching_types(pattern):
        near = difflib.get_close_matches(pattern, EVENT_TYPES, n=1, cutoff=0.0)[0]
        raise ValueError(f'"{pattern}" matches no event type; did you mean "{near}"?')
    return pattern


def _number_text(value: object) -> object:
    # People write queue numbers and extensions without quotes.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Cidr = Annotated[Network, BeforeValidator(_network)]
Name = Annotated[str, AfterValidator(_name)]
NumberText = Annotated[str, BeforeValidator(_number_text)]
Pattern = Annotated[str, AfterValidator(_pattern)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy_url)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
Region = Annotated[str, AfterValidator(_region)]
StoreUrl = Annotated[SecretStr, AfterValidator(_store_url)]
Text = Annotated[str, Field(min_length=1)]
Token = Annotated[SecretStr, AfterValidator(_token)]
