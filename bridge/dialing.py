"""Making connections to permitted addresses alone: the address that is dialled is the one that was checked."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

from bridge.destinations import Destinations
from bridge.errors import Misconfigured


def permitted(host: str, port: int, addresses: Sequence[Any], destinations: Destinations) -> list[Any]:
    """Those of the addresses (as getaddrinfo gives them) that may be dialled. Raises `Misconfigured` without any."""
    refusals = {address[4][0]: destinations.refusal(address[4][0]) for address in addresses}
    good = [address for address in addresses if refusals[address[4][0]] is None]
    if addresses and not good:
        shown, reason = next(iter(refusals.items()))
        also = "" if shown == host else f" ({shown})"
        raise Misconfigured(f"{host}:{port}{also} {reason}: connectors may not reach it; check the address")
    return good


# --- sessions of libraries ----------------------------------------------------------------------------------------

_dialled: ContextVar[Destinations] = ContextVar("callbridge_http_dialled")


class _CheckedConnection(HTTPConnection):
    """A connection with timeouts of its own, to a permitted address."""

    def _new_conn(self) -> socket.socket:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        failure: OSError | None = None
        for *_, address in permitted(self.host, self.port, found, _dialled.get()):
            try:
                return create_connection(address[:2], self.timeout, socket_options=self.socket_options)
            except OSError as error:
                failure = error
        raise failure or OSError("the name has no address")


class _CheckedTlsConnection(_CheckedConnection, HTTPSConnection):
    pass


class _CheckedPool(HTTPConnectionPool):
    ConnectionCls = _CheckedConnection


class _CheckedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTlsConnection


class CheckedAdapter(HTTPAdapter):
    """For a session that a library brings: `destinations` says what may be dialled for a URL."""

    def __init__(self, destinations: Callable[[str], Destinations]) -> None:
        self._destinations = destinations
        self._pools = {"http": _CheckedPool, "https": _CheckedTlsPool}
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        token = _dialled.set(self._destinations(request.url or ""))
        try:
            return super().send(request, *arguments, **options)
        finally:
            _dialled.reset(token)
