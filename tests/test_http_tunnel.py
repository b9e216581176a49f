"""The HTTP client's way to https through a proxy, against one on the loopback interface."""

from __future__ import annotations

import re
import socket
import threading

import trustme

from bridge import HttpClient, transport
from tests.plugins_for_tests.talks import Talk, answer, failure_of, read_request, server_tls, serving


def leading_to(authority: trustme.CA, name: str, received: list[bytes], protocols: list[str | None]) -> Talk:
    """A proxy whose tunnel ends at the server `name`, which speaks TLS."""
    tls = server_tls(authority, name)
    tls.set_alpn_protocols(["h2", "http/1.1"])

    def talk(connection: socket.socket, number: int) -> None:
        received.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
        with tls.wrap_socket(connection, server_side=True) as inner:
            protocols.append(inner.selected_alpn_protocol())
            while request := read_request(inner):
                received.append(request)
                inner.sendall(answer())

    return talk


def test_the_tunnel_leads_to_the_server_itself_and_is_kept(authority: trustme.CA) -> None:
    received: list[bytes] = []
    protocols: list[str | None] = []
    with (
        serving(leading_to(authority, "crm.example", received, protocols)) as proxy,
        HttpClient(timeout=5, proxy=f"http://office:s3cret@{proxy}") as client,
    ):
        for _ in range(2):
            assert client.request("POST", "https://crm.example/calls?x=1", body=b"call").body == b"ok"
    asked, *sent = received
    assert re.match(rb"CONNECT crm\.example:443 HTTP/1\.1\r\nHost: crm\.example:443\r\n", asked)
    assert b"Proxy-Authorization: Basic b2ZmaWNlOnMzY3JldA==" in asked
    assert len(sent) == 2
    for request in sent:
        assert re.match(rb"POST /calls\?x=1 HTTP/1\.1\r\nHost: crm\.example\r\n(?s:.+)\r\n\r\ncall$", request)
        assert b"Proxy-Authorization" not in request
    assert protocols == ["http/1.1"]


def test_a_name_with_the_dot_of_the_root_has_the_certificate_of_the_name(authority: trustme.CA) -> None:
    with (
        serving(leading_to(authority, "crm.example", [], [])) as proxy,
        HttpClient(timeout=5, proxy=f"http://{proxy}") as client,
    ):
        assert client.request("GET", "https://crm.example./").status == 200


def test_a_tunnel_to_another_server_is_refused_and_closed(authority: trustme.CA) -> None:
    ended = threading.Event()
    talk = leading_to(authority, "elsewhere.example", [], [])

    def until_the_end(connection: socket.socket, number: int) -> None:
        try:
            talk(connection, number)
        finally:
            ended.set()

    with serving(until_the_end) as proxy, HttpClient(timeout=5, proxy=f"http://{proxy}") as client:
        assert "the certificate of crm.example was refused" in failure_of(client, "https://crm.example/")
        assert ended.wait(5)


def test_a_proxy_that_hangs_up_is_told() -> None:
    received: list[bytes] = []
    with (
        serving(lambda connection, _: received.append(read_request(connection))) as proxy,
        HttpClient(timeout=5, proxy=f"http://{proxy}") as client,
    ):
        assert "crm.example closed the connection" in failure_of(client, "https://crm.example/")


def test_no_secret_is_in_the_repr_of_the_way_to_a_server() -> None:
    proxy = transport._Proxy("proxy.example", 3128, (("Proxy-Authorization", "s3cret"),))
    for scheme in ("http", "https"):
        assert "s3cret" not in repr(transport._way_to(f"{scheme}://crm.example/s3cret", proxy))
