"""The HTTP client's deadline, against real servers on the loopback interface that never keep it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme

from bridge import HttpClient
from bridge.exchange import TOLERANCE
from tests.plugins_for_tests.talks import SOON, Talk, answer, answering, failure_of, read_request, server_tls, serving


def dripping(start: bytes, piece: bytes) -> Talk:
    """Answer with `start`, then slowly with one `piece` after the other until the client hangs up."""

    def talk(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(start)
        connection.settimeout(0.02)
        while True:
            connection.sendall(piece)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return

    return talk


DRIP_A_HEADER = dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x")
DRIP_A_BODY = dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x")
DRIP_INTERIM_ANSWERS = dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n")


def say_nothing(connection: socket.socket, number: int) -> None:
    while connection.recv(65536):
        pass


def after_the_first(talk: Talk) -> Talk:
    """Serve one request well, so that the second comes on a kept connection."""

    def both(connection: socket.socket, number: int) -> None:
        assert read_request(connection)
        connection.sendall(answer())
        talk(connection, number)

    return both


@contextmanager
def bounded() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert SOON * 0.9 < time.monotonic() - started < SOON + 1


@pytest.mark.parametrize("talk", [DRIP_A_HEADER, DRIP_A_BODY, DRIP_INTERIM_ANSWERS, say_nothing])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_deadline_ends_what_drips(client: HttpClient, authority: trustme.CA, scheme: str, talk: Talk) -> None:
    tls = server_tls(authority, "127.0.0.1") if scheme == "https" else None
    with serving(talk, tls) as host, bounded():
        said = failure_of(client, f"{scheme}://{host}/", timeout=SOON)
    assert said.startswith(f"{host} timed out after {SOON} s")


@pytest.mark.parametrize("talk", [DRIP_A_HEADER, DRIP_A_BODY, say_nothing])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_deadline_holds_on_a_kept_connection(
    client: HttpClient, authority: trustme.CA, scheme: str, talk: Talk
) -> None:
    tls = server_tls(authority, "127.0.0.1") if scheme == "https" else None
    with serving(after_the_first(talk), tls) as host:
        url = f"{scheme}://{host}/"
        assert client.request("POST", url).status == 200
        with bounded():
            assert "timed out after" in failure_of(client, url, timeout=SOON)
        # The connection that was cut is not used again: a fresh one is answered.
        assert client.request("POST", url).status == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_deadline_ends_sending_to_a_server_that_does_not_read(
    client: HttpClient, authority: trustme.CA, scheme: str
) -> None:
    done = threading.Event()
    tls = server_tls(authority, "127.0.0.1") if scheme == "https" else None

    def read_nothing(connection: socket.socket, number: int) -> None:
        done.wait(5)

    with serving(read_nothing, tls) as host:
        with bounded():
            assert "timed out after" in failure_of(client, f"{scheme}://{host}/", body=bytes(9_000_000), timeout=SOON)
        done.set()


def test_the_deadline_ends_a_tls_handshake_that_is_not_answered(client: HttpClient) -> None:
    with serving(say_nothing) as host, bounded():
        assert "timed out after" in failure_of(client, f"https://{host}/", timeout=SOON)


def test_a_request_can_shorten_the_deadline_and_not_extend_it() -> None:
    with serving(say_nothing) as host, HttpClient(timeout=SOON) as client, bounded():
        failure_of(client, f"http://{host}/", timeout=60)


def test_a_dead_address_does_not_use_up_the_time_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # A listener whose queue is full answers no further connection.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as dead, serving(answering(answer())) as host:
        address = dead.getsockname()
        with socket.create_connection(address), HttpClient(timeout=2 * SOON) as client:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
            found = [(*kind, address), (*kind, ("127.0.0.1", int(host.split(":")[1])))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            assert client.request("GET", "http://chat.example/").status == 200


def test_a_request_that_timed_out_is_not_sent_once_more(client: HttpClient) -> None:
    received: list[bytes] = []

    def talk(connection: socket.socket, number: int) -> None:
        while request := read_request(connection):
            received.append(request)
            if len(received) == 1:
                connection.sendall(answer())

    with serving(talk) as host:
        url = f"http://{host}/"
        assert client.request("POST", url, timeout=SOON).status == 200
        # The timeout that the kept socket still has is nearly the right one, and too short.
        assert "timed out" in failure_of(client, url, timeout=SOON + TOLERANCE * 0.8)
    assert len(received) == 2
