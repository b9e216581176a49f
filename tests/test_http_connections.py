"""Kept connections of the HTTP client: which answers leave them fit for the next request, and which do not."""

from __future__ import annotations

import gzip
import random
import socket
import threading

import pytest

from bridge import HttpClient, transport
from tests.plugins_for_tests.talks import answer, answering, failure_of, read_request, serving

HEAD_OF_ZIPPED = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Encoding: gzip\r\n\r\n"


def test_a_connection_is_closed_where_the_compressed_answer_is_not_read_to_its_end(client: HttpClient) -> None:
    long = gzip.compress(random.Random(1).randbytes(200_000), mtime=0)  # what cannot be compressed
    connections: list[int] = []
    with serving(answering(answer(long, headers="Content-Encoding: gzip\r\n"), connections)) as host:
        statuses = [client.request("GET", f"http://{host}/").status for _ in range(2)]
    assert (statuses, connections) == ([200, 200], [0, 1])


def test_an_answer_to_head_has_no_body_whatever_its_headers_say(client: HttpClient) -> None:
    connections: list[int] = []
    with serving(answering(HEAD_OF_ZIPPED, connections)) as host:
        answers = [client.request("HEAD", f"http://{host}/") for _ in range(2)]
    assert [(one.status, one.body) for one in answers] == [(200, b"")] * 2
    assert connections == [0]


def test_an_answer_is_heard_though_it_came_before_the_request_was_sent_whole(client: HttpClient) -> None:
    def refuse(connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        connection.sendall(answer(b"too big", status="413 Content Too Large", headers="Connection: close\r\n"))

    with serving(refuse) as host:
        response = client.request("POST", f"http://{host}/", body=bytes(5_000_000))
    assert (response.status, response.body) == (413, b"too big")


@pytest.mark.parametrize("interim", ["102 Processing", "103 Early Hints"])
def test_an_interim_answer_is_not_taken_for_the_answer(client: HttpClient, interim: str) -> None:
    connections: list[int] = []
    reply = f"HTTP/1.1 {interim}\r\nLink: </style.css>\r\n\r\n".encode() * 2 + answer(b"last")
    with serving(answering(reply, connections)) as host:
        answers = [client.request("POST", f"http://{host}/") for _ in range(2)]
    assert [(one.status, one.body, "Link" in one.headers) for one in answers] == [(200, b"last", False)] * 2
    assert connections == [0]


def test_a_connection_that_changes_its_protocol_is_not_kept(client: HttpClient) -> None:
    connections: list[int] = []
    with serving(answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\nframes", connections)) as host:
        assert [client.request("GET", f"http://{host}/").status for _ in range(2)] == [101, 101]
    assert connections == [0, 1]


def test_an_answer_of_two_lengths_is_none(client: HttpClient) -> None:
    with serving(answering(answer(headers="Content-Length: 9\r\n"))) as host:
        assert "no answer that is readable HTTP" in failure_of(client, f"http://{host}/")


@pytest.mark.parametrize("size", ["-1", "-5"])
def test_a_chunk_of_less_than_nothing_is_no_answer(client: HttpClient, size: str) -> None:
    reply = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\nok\r\n0\r\n\r\n".encode()
    with serving(answering(reply)) as host:
        assert "no answer that is readable HTTP" in failure_of(client, f"http://{host}/")


def test_a_header_that_comes_twice_or_goes_on_in_the_next_line_is_told_as_one(client: HttpClient) -> None:
    with serving(answering(answer(headers="X-A: 1\r\nX-B: b\r\nx-a: 2\r\nX-C: one\r\n\t two\r\n"))) as host:
        headers = client.request("GET", f"http://{host}/").headers
    assert (headers["X-A"], headers["X-B"], headers["X-C"]) == ("1, 2", "b", "one two")


def test_a_connection_on_which_more_came_than_was_asked_for_is_not_used_again(client: HttpClient) -> None:
    answered, closing = threading.Event(), threading.Event()

    def give_up(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            connection.sendall(answer())
            if number == 0:
                assert answered.wait(5)
                connection.sendall(answer(status="408 Request Timeout", headers="Connection: close\r\n"))
                closing.set()

    with serving(give_up) as host:
        first = client.request("POST", f"http://{host}/")
        answered.set()
        assert closing.wait(5)
        assert (first.status, client.request("POST", f"http://{host}/").status) == (200, 200)


def test_of_more_connections_than_are_kept_the_oldest_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "KEPT_SERVERS", 1)
    hung_up = threading.Event()
    connections: list[int] = []

    def wait_for_the_end(connection: socket.socket, number: int) -> None:
        answering(answer())(connection, number)
        hung_up.set()

    with (
        serving(wait_for_the_end) as one,
        serving(answering(answer(), connections)) as other,
        HttpClient(timeout=5, connections=1) as client,
    ):
        for host in (one, other, other):
            assert client.request("GET", f"http://{host}/").status == 200
        assert hung_up.wait(5)
        assert connections == [0]
