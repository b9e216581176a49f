"""Where posts may come from, and where a bridge without a token may listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
from click.testing import CliRunner

from bridge.cli import main
from bridge.testing import BridgeProcess, running_bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Desk, Office

ALLOWED = """
[intake]
tokens = ["a-good-token"]
allow_from = ["203.0.113.0/24", "2001:db8::/32"]
"""
PATH = "/event/a-good-token"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge that trusts the proxy on this machine."""
    folder = tmp_path_factory.mktemp("proxied")
    server = 'trusted_proxies = ["127.0.0.1/32"]\nmonitor_from = ["198.51.100.7/32"]'
    with running_bridge(folder, ALLOWED, server=server) as bridge:
        yield bridge


def forwarded(addresses: str | None) -> dict[str, str]:
    return {"X-Forwarded-For": addresses} if addresses else {}


@pytest.mark.parametrize("addresses", ["203.0.113.9", "8.8.8.8, 203.0.113.9", "2001:db8::1", "[2001:db8::1]"])
def test_who_is_allowed_may_post_through_a_trusted_proxy(proxied: BridgeProcess, addresses: str) -> None:
    answer = proxied.post(PATH, b"{}", headers=forwarded(addresses))
    assert (answer.status_code, answer.text) == (200, "ok")


@pytest.mark.parametrize("addresses", [None, "203.0.114.9", "203.0.113.9, 8.8.8.8", "2001:db9::1", "nobody", ","])
def test_others_are_refused_in_text(proxied: BridgeProcess, addresses: str | None) -> None:
    answer = proxied.post(PATH, {"call_uuid": "1", "event_type": "ringing"}, headers=forwarded(addresses))
    assert (answer.status_code, answer.text) == (403, "posts are not taken from this address")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_an_allowed_address_is_no_token(proxied: BridgeProcess) -> None:
    assert proxied.post("/event", b"{}", headers=forwarded("203.0.113.9")).status_code == 401


def test_what_an_untrusted_proxy_says_of_the_address_is_not_believed(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(ALLOWED)
    for peer, addresses, status in (
        ("203.0.113.9", None, 200),
        ("203.0.113.9", "8.8.8.8", 200),
        ("8.8.8.8", "203.0.113.9", 403),
        ("127.0.0.1", "203.0.113.9", 403),
        ("::ffff:203.0.113.9", None, 200),
        ("2001:db8::7", None, 200),
        ("", None, 403),
    ):
        answer = desk.post(b"{}", PATH, headers=forwarded(addresses), environ_base={"REMOTE_ADDR": peer})
        assert answer.status_code == status, (peer, addresses)


def test_monitors_are_known_by_what_a_trusted_proxy_says(proxied: BridgeProcess) -> None:
    for addresses, may_see in (("198.51.100.7", True), ("198.51.100.8", False), (None, False)):
        answer = requests.get(f"{proxied.url}/readyz", headers=forwarded(addresses), timeout=10)
        assert answer.status_code == 200
        assert ("sources" in answer.json()) == may_see
        scrape = requests.get(f"{proxied.url}/metrics", headers=forwarded(addresses), timeout=10)
        assert scrape.status_code == (200 if may_see else 403)


# --- without a token ----------------------------------------------------------------------------------------------


def test_without_a_token_a_bridge_on_loopback_runs_and_says_so(troubled: Office) -> None:
    for path in ("/event/bulutsantralim", "/event/bulutsantralim/", "/event/bulutsantralim/whatever"):
        assert troubled.bridge.post(path, b"{}").text == "ok"
    assert "no token is configured: only this machine can post" in troubled.bridge.log.read_text()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_a_token_no_bridge_starts_elsewhere(tmp_path: Path, host: str) -> None:
    bridge = BridgeProcess(tmp_path, "", server=f'host = "{host}"')
    done = CliRunner().invoke(main, ["serve", "--config", str(bridge.config)])
    assert done.exit_code == 1
    assert done.stderr.startswith("intake.tokens: anybody who reaches the bridge could post: set a token")
    assert not bridge.database.exists()


def test_an_open_intake_starts_anywhere_with_a_warning(tmp_path: Path) -> None:
    with running_bridge(tmp_path, "[intake]\nopen = true", server='host = "0.0.0.0"') as bridge:
        assert bridge.post("/event", b"{}").text == "ok"
        assert "WARNING callbridge: intake.open: anybody who reaches the bridge can post" in bridge.log.read_text()
        assert bridge.get("/readyz").json()["warnings"] == ["intake.open: posts are taken without a token"]


def test_an_open_intake_with_a_token_still_asks_for_it(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk('[intake]\nopen = true\ntokens = ["a-good-token"]')
    assert desk.post(b"{}").status_code == 401
    assert desk.client.get("/readyz").json["warnings"] == []


def test_a_token_that_is_the_name_of_a_source_stops_the_start(tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path, '[intake]\ntokens = ["fine", "bulutsantralim"]')
    done = bridge.run("serve")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "intake.tokens: item 2: a token must not be the name of a source, as both are paths\n"
