"""The HTTP client against real servers on the loopback interface: connections, sizes, broken answers."""

from __future__ import annotations

import gzip
import importlib.metadata
import logging
import re
import socket
import struct
import threading
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from bridge import HttpClient, TemporaryFailure
from bridge.http import MAX_ANSWER
from tests.plugins_for_tests.talks import Talk, answer, answering, failure_of, read_request, server_tls, serving

# --- what is sent -------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_given(client: HttpClient) -> None:
    received: list[bytes] = []

    def talk(connection: socket.socket, number: int) -> None:
        while request := read_request(connection):
            received.append(request)
            connection.sendall(answer(b"taken", status="202 Accepted", headers="X-Id: 7\r\nSet-Cookie: a=b\r\n"))

    with serving(talk) as host:
        response = client.request("put", f"http://user:pass@{host}/a?b=c", headers={"X-Mine": "1"}, body=b"\x00\xff")
        client.request("POST", f"http://{host}", json={"who": "Ayşe"}, headers={"user-agent": "mine"})
        client.request("POST", f"http://{host}/", form={"who": "Ayşe & co"})
    assert (response.status, response.headers["x-id"], response.body) == (202, "7", b"taken")
    raw, as_json, as_form = received
    agent = f"callbridge/{importlib.metadata.version('callbridge')}".encode()
    assert re.match(rb"PUT /a\?b=c HTTP/1.1\r\n(.+\r\n)+\r\n\x00\xff$", raw)
    assert {b"X-Mine: 1", b"Authorization: Basic dXNlcjpwYXNz", b"User-Agent: " + agent} <= set(raw.split(b"\r\n"))
    assert b"Cookie" not in as_json + as_form
    assert (b"callbridge/" in as_json, b"application/json" in as_json) == (False, True)
    assert as_json.endswith('\r\n\r\n{"who":"Ayşe"}'.encode())
    assert b"application/x-www-form-urlencoded" in as_form
    assert as_form.endswith(b"\r\n\r\nwho=Ay%C5%9Fe+%26+co")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_head_and_body_of_a_request_are_one_packet(client: HttpClient, authority: trustme.CA, scheme: str) -> None:
    pieces: list[bytes] = []

    def talk(connection: socket.socket, number: int) -> None:
        while piece := connection.recv(65536):
            pieces.append(piece)
            connection.sendall(answer())

    with serving(talk, server_tls(authority, "127.0.0.1") if scheme == "https" else None) as host:
        for body in (b"one", None, b"two"):
            client.request("POST", f"{scheme}://{host}/", body=body)
    assert [piece.partition(b"\r\n\r\n")[2] for piece in pieces] == [b"one", b"", b"two"]


def test_proxies_of_the_environment_are_not_used(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(answering(answer())) as host:
        assert client.request("GET", f"http://{host}/").status == 200


def test_redirects_are_not_followed_and_their_answer_is_capped(client: HttpClient) -> None:
    def talk(connection: socket.socket, number: int) -> None:
        assert read_request(connection)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with serving(talk) as host:
        response = client.request("POST", f"http://{host}/", body=b"x")
    assert (response.status, len(response.body)) == (302, MAX_ANSWER)


# --- connections --------------------------------------------------------------------------------------------------


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
ZIPPED = answer(gzip.compress(b"ok", mtime=0), headers="Content-Encoding: gzip\r\n")


@pytest.mark.parametrize("reply", [answer(), CHUNKED, ZIPPED, answer(b"x" * MAX_ANSWER)])
def test_a_connection_is_kept_and_used_again(client: HttpClient, reply: bytes) -> None:
    connections: list[int] = []
    with serving(answering(reply, connections)) as host:
        for _ in range(3):
            assert client.request("POST", f"http://{host}/", body=b"x").body in (b"ok", b"x" * MAX_ANSWER)
    assert connections == [0]


def test_as_many_threads_as_connections_share_a_client() -> None:
    connections: list[int] = []
    with (
        serving(answering(answer(), connections)) as host,
        HttpClient(timeout=5, connections=4) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        url = f"http://{host}/"
        statuses = list(pool.map(lambda number: client.request("POST", url, body=b"%d" % number).status, range(80)))
    assert statuses == [200] * 80
    assert len(connections) <= 4


def test_a_kept_connection_that_went_dead_is_replaced_by_a_fresh_one(client: HttpClient) -> None:
    received: list[int] = []
    both, hung_up = threading.Barrier(2), threading.Event()

    def talk(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            received.append(number)
            if number < 2:
                if received.count(number) == 2:
                    return
                both.wait(5)
            connection.sendall(answer())
        hung_up.set()

    with serving(talk) as host, ThreadPoolExecutor(2) as pool:
        url = f"http://{host}/"
        assert [response.status for response in pool.map(client.request, ["POST"] * 2, [url] * 2)] == [200, 200]
        assert client.request("POST", url).status == 200
        client.close()
        assert hung_up.wait(5)
    # Two connections are kept; the one that is tried is dead, and the other is not trusted either.
    assert (sorted(received[:2]), received[2] in (0, 1), received[3:]) == ([0, 1], True, [2])


def test_a_fresh_connection_without_an_answer_is_a_failure_at_once(client: HttpClient) -> None:
    received: list[bytes] = []
    with serving(lambda connection, _: received.append(read_request(connection))) as host:
        assert "closed the connection" in failure_of(client, f"http://{host}/")
    assert len(received) == 1


@pytest.mark.parametrize("broken", [b"HTTP/1.", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"])
def test_a_kept_connection_that_breaks_within_an_answer_is_a_failure(client: HttpClient, broken: bytes) -> None:
    received: list[int] = []

    def talk(connection: socket.socket, number: int) -> None:
        for reply in (answer(), broken):
            assert read_request(connection)
            received.append(number)
            connection.sendall(reply)

    with serving(talk) as host:
        assert client.request("GET", f"http://{host}/").status == 200
        assert "127.0.0.1" in failure_of(client, f"http://{host}/")
    assert received == [0, 0]


# --- the size of an answer ----------------------------------------------------------------------------------------


def test_an_endless_answer_is_cut_and_its_connection_closed(client: HttpClient) -> None:
    numbers: list[int] = []

    def talk(connection: socket.socket, number: int) -> None:
        numbers.append(number)
        assert read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with serving(talk) as host:
        bodies = [client.request("GET", f"http://{host}/").body for _ in range(2)]
    assert bodies == [b"x" * MAX_ANSWER] * 2
    assert numbers == [0, 1]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_costs_little_memory(client: HttpClient, layers: int) -> None:
    bomb = bytes(30_000_000)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    encodings = ", ".join(["gzip"] * layers)
    with serving(answering(answer(bomb, headers=f"Content-Encoding: {encodings}\r\n"))) as host:
        tracemalloc.start()
        try:
            assert client.request("GET", f"http://{host}/").body == bytes(MAX_ANSWER)
            assert tracemalloc.get_traced_memory()[1] < 3_000_000
        finally:
            tracemalloc.stop()


# --- faults, in words ---------------------------------------------------------------------------------------------


def reset(connection: socket.socket, number: int) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (reset, "closed the connection before its answer was complete"),
        (lambda *_: None, "closed the connection"),
        (answering(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "no answer that is readable HTTP"),
        (answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbroken\r\n"), "closed|readable"),
        (answering(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), "readable"),
        (answering(answer(b"no gzip", headers="Content-Encoding: gzip\r\n")), "readable"),
    ],
)
def test_a_broken_answer_is_temporary_and_told_in_words(client: HttpClient, talk: Talk, said: str) -> None:
    with serving(talk) as host:
        message = failure_of(client, f"http://{host}/", body=b"x")
    assert message.startswith(host)
    assert re.search(said, message)


def test_a_trusted_certificate_is_accepted(client: HttpClient, authority: trustme.CA) -> None:
    with serving(answering(answer()), server_tls(authority, "127.0.0.1")) as host:
        assert client.request("GET", f"https://{host}/").status == 200


@pytest.mark.parametrize(("trusted", "name"), [(True, "elsewhere.example"), (False, "127.0.0.1")])
def test_a_wrong_certificate_is_refused(client: HttpClient, authority: trustme.CA, trusted: bool, name: str) -> None:
    with serving(answering(answer()), server_tls(authority if trusted else trustme.CA(), name)) as host:
        said = failure_of(client, f"https://{host}/")
    assert re.match(f"the certificate of {host} was refused: .*{'mismatch' if trusted else 'issuer'}", said)


def test_a_server_without_tls_is_told(client: HttpClient) -> None:
    with serving(lambda connection, _: connection.sendall(answer())) as host:
        assert f"no TLS connection to {host}" in failure_of(client, f"https://{host}/")


@pytest.mark.parametrize("talk", [reset, answering(answer(headers="no header\r\n"))])
def test_no_secret_is_in_a_message_a_traceback_or_a_log(
    client: HttpClient, talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, told = "s3" + "cret", ""
    with serving(talk) as host:
        url = f"http://user:{secret}@{host}/{secret}?token={secret}"
        try:
            client.request("POST", url, headers={"X-Key": secret}, body=secret.encode())
        except TemporaryFailure as failure:
            told = "".join(traceback.format_exception(failure)) + repr(failure)
    assert secret not in told + caplog.text
