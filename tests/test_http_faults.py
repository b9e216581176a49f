"""What the HTTP client says of addresses, headers and networks that cannot be used. No server answers here."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bridge import HttpClient, Misconfigured, TemporaryFailure


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with HttpClient(timeout=5) as client:
        yield client


def failure_of(client: HttpClient, url: str) -> str:
    with pytest.raises(TemporaryFailure) as caught:
        client.request("POST", url)
    return str(caught.value)


def test_a_refused_connection_is_told(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert failure_of(client, f"http://127.0.0.1:{port}/").startswith(f"127.0.0.1:{port} refused the connection")


def test_an_unknown_name_is_told(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert failure_of(client, "https://chat.example/x") == (
        "the name of chat.example cannot be resolved; check the address and the name server"
    )


def test_a_network_that_cannot_be_reached_is_told(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert "cannot be reached (Network is unreachable)" in failure_of(client, "http://127.0.0.1/")


@pytest.mark.parametrize(
    "url",
    [
        *("", "s3cret", "/s3cret", "//host/s3cret", "ftp://host/s3cret", "mailto:s3cret", "httpx://host/s3cret"),
        *("http://", "http:///s3cret", "http://ho st/s3cret", "http://[::1/s3cret", "http://host:99999/s3cret"),
        *("http://host:s3cret/", "http://a..b/s3cret", f"http://{'a' * 64}.example/s3cret", "http://*.example/s3cret"),
        *("http://é..b/s3cret", "https://ho\nst/s3cret"),
    ],
)
def test_an_address_that_cannot_be_used_is_misconfigured(client: HttpClient, url: str) -> None:
    with pytest.raises(Misconfigured, match="looks like https://host/path") as caught:
        client.request("POST", url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [("X-Key", "s3cret\r\nX: y"), ("X-Key", " s3cret"), ("X-Key", "s3cret ş"), ("Ş", "s3cret"), ("", "s3cret")],
)
def test_a_header_that_cannot_be_sent_is_misconfigured(client: HttpClient, header: tuple[str, str]) -> None:
    with pytest.raises(Misconfigured, match="header") as caught:
        client.request("POST", "http://127.0.0.1/", headers=dict([header]))
    assert "s3cret" not in str(caught.value)


def test_a_client_without_a_timeout_is_not_to_be_had() -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        HttpClient(timeout=0)


def test_only_one_kind_of_content_can_be_sent(client: HttpClient) -> None:
    with pytest.raises(TypeError, match="one of"):
        client.request("POST", "http://127.0.0.1/", body=b"", json={})


def test_the_look_up_of_a_name_keeps_to_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(5) and [])
    started = time.monotonic()
    with HttpClient(timeout=0.2) as client:
        assert "chat.example timed out after 0.2 s" in failure_of(client, "http://chat.example/")
    assert time.monotonic() - started < 2
    answered.set()


@pytest.mark.parametrize("method", ["", "PO ST", "POST / HTTP/1.1\r\nX: s3cret\r\n\r\nGET", "GET\n", "P\tT", "ŞET"])
def test_a_method_that_cannot_be_sent_is_misconfigured(client: HttpClient, method: str) -> None:
    with pytest.raises(Misconfigured, match="the method cannot be sent") as caught:
        client.request(method, "http://127.0.0.1/")
    assert "s3cret" not in str(caught.value)
