"""What the HTTP client dials, and what it does not: against real servers on the loopback interface."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge import HttpClient, Misconfigured, TemporaryFailure
from bridge.destinations import Destinations
from bridge.plugins import examine_plugins
from bridge.settings import load_settings
from bridge.testing import Answer, RecordingSink, recording_sink

DENIED = Destinations(deny=(ip_network("127.0.0.0/8"),))

Names = Callable[..., None]


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    with recording_sink() as sink:
        yield sink


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Let a name mean something: the addresses of each look-up in turn, the last for ever."""
    look_up, known = socket.getaddrinfo, dict[str, list[tuple[str, ...]]]()

    def fake(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        turns = known.get(host)
        if turns is None:
            return look_up(host, port, *args, **options)
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        return [each for one in addresses for each in look_up(one, port, *args, **options)]

    def mean(name: str, *turns: tuple[str, ...]) -> None:
        known[name] = list(turns)

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    return mean


def refused(client: HttpClient, url: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        client.request("POST", url, body=b"x")
    return str(caught.value)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::ffff:169.254.169.254]", "0xa9fea9fe", "2852039166", "169.254.43518", "[fe80::1]"]
)
def test_a_metadata_address_is_refused_in_words_that_hold_no_secret(host: str) -> None:
    with HttpClient(timeout=5) as client:
        said = refused(client, f"http://{host}/latest/s3cret")
    assert said.endswith("is a link-local address: connectors may not reach it; check the address")
    assert "s3cret" not in said


def test_a_name_is_refused_by_the_address_it_has(names: Names) -> None:
    names("metadata.example", ("169.254.169.254",))
    with HttpClient(timeout=5) as client:
        assert refused(client, "http://metadata.example/x").startswith(
            "metadata.example:80 (169.254.169.254) is a link-"
        )


def test_of_several_addresses_the_permitted_ones_are_dialled(names: Names, sink: RecordingSink) -> None:
    names("crm.example", ("169.254.169.254", "127.0.0.1"))
    with HttpClient(timeout=5) as client:
        assert client.request("GET", f"http://crm.example:{sink.port}/").status == 200


def test_the_address_that_was_checked_is_the_one_that_is_dialled(names: Names, sink: RecordingSink) -> None:
    names("rebinding.example", ("127.0.0.2",), ("127.0.0.1",))  # nobody listens on the first
    with HttpClient(timeout=5) as client, pytest.raises(TemporaryFailure, match="refused the connection"):
        client.request("GET", f"http://rebinding.example:{sink.port}/")
    assert sink.arrivals == []


def test_a_kept_connection_is_neither_resolved_nor_checked_again(names: Names, sink: RecordingSink) -> None:
    names("crm.example", ("127.0.0.1",), ("169.254.169.254",))
    with HttpClient(timeout=5) as client:
        for _ in range(3):
            assert client.request("GET", f"http://crm.example:{sink.port}/").status == 200


def test_a_redirect_to_a_metadata_address_is_not_followed(sink: RecordingSink) -> None:
    sink.answer_with(Answer(302, headers={"Location": "http://169.254.169.254/"}))
    with HttpClient(timeout=5) as client:
        assert client.request("GET", sink.url).status == 302


# --- the config ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "passes"),
    [
        ("", True),
        ('allow = ["127.0.0.0/8"]', True),
        ('allow = ["10.0.0.0/8"]', False),
        ('deny = ["127.0.0.1"]', False),
        ('deny = ["127.0.0.0/8"]\nallow = ["127.0.0.0/8"]', False),
    ],
)
def test_connectors_and_directories_reach_what_the_config_allows(
    tmp_path: Path, sink: RecordingSink, http: str, passes: bool
) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(
        f'[http]\n{http}\n[connectors.hook]\nkind = "webhook"\non = ["*"]\nurl = "{sink.url}/hook"\n'
        f'[directories.book]\nkind = "contacts"\ncarddav = "{sink.url}/book"\n'
    )
    plugins = examine_plugins(load_settings(config, {}))
    _, of_hook = plugins.check("connectors", "hook")
    _, of_book = plugins.check("directories", "book")
    for error in (of_hook, of_book):
        assert ("may not reach" in (error or "")) is not passes, error
    assert bool(sink.arrivals) is passes


# --- the proxy ----------------------------------------------------------------------------------------------------


def test_all_goes_through_the_proxy_of_the_config(sink: RecordingSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    proxy = sink.url.replace("://", "://office:s3cret@")
    with HttpClient(timeout=5, destinations=DENIED, proxy=proxy) as client:
        assert client.request("POST", "http://crm.example/calls?x=1", body=b"x").status == 200
    (arrival,) = sink.arrivals
    assert arrival.path == "http://crm.example/calls?x=1"
    assert arrival.headers["Proxy-Authorization"] == "Basic b2ZmaWNlOnMzY3JldA=="


def test_the_proxy_is_asked_for_a_tunnel_to_https(sink: RecordingSink) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            with server.accept()[0] as connection:
                asked.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        with (
            HttpClient(timeout=5, proxy=f"http://127.0.0.1:{server.getsockname()[1]}") as client,
            pytest.raises(TemporaryFailure, match=r"the proxy \(http\.proxy\) does not lead to crm\.example; "),
        ):
            client.request("POST", "https://crm.example/calls", body=b"x")
        thread.join()
    assert asked[0].startswith(b"CONNECT crm.example:443 HTTP/1.")


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::ffff:a9fe:a9fe]", "2852039166", "127.0.0.1", "169.254.169.254\\@crm.example"]
)
def test_the_proxy_is_not_sent_to_an_address_that_may_not_be_reached(sink: RecordingSink, host: str) -> None:
    with HttpClient(timeout=5, destinations=DENIED, proxy=sink.url) as client:
        assert "may not reach" in refused(client, f"http://{host}/")
    assert sink.arrivals == []


# --- sessions of libraries ----------------------------------------------------------------------------------------


def test_the_session_of_a_library_is_bound_to_the_same(
    sink: RecordingSink, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    names("metadata.example", ("169.254.169.254",))
    sink.answer_with([Answer(), Answer(302, headers={"Location": "http://metadata.example/"})])
    with HttpClient(timeout=5) as client, requests.Session() as session:
        client.guard(session)
        assert session.get(sink.url, timeout=5).text == "ok"
        with pytest.raises(Misconfigured, match=r"metadata\.example"):
            session.get(sink.url, timeout=5)
    with HttpClient(timeout=5, destinations=DENIED) as client, requests.Session() as session:
        client.guard(session)
        with pytest.raises(Misconfigured, match=r"is in http\.deny"):
            session.get(sink.url, timeout=5)
    assert len(sink.arrivals) == 2


def test_the_session_of_a_library_uses_the_proxy_of_the_config(sink: RecordingSink) -> None:
    with HttpClient(timeout=5, proxy=sink.url) as client, requests.Session() as session:
        client.guard(session)
        assert session.get("http://crm.example/x", timeout=5).text == "ok"
        with pytest.raises(Misconfigured):
            session.get("http://169.254.169.254/", timeout=5)
    assert [arrival.path for arrival in sink.arrivals] == ["http://crm.example/x"]


def test_the_session_of_a_library_says_as_ever_that_nobody_is_there(names: Names) -> None:
    names("crm.example", ("127.0.0.2", "127.0.0.3"))
    with HttpClient(timeout=5) as client, requests.Session() as session:
        client.guard(session)
        with pytest.raises(requests.ConnectionError):
            session.get("http://crm.example:9/", timeout=5)
