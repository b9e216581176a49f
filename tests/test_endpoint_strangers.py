"""What strangers get: to wait, where they guess tokens; nothing that a browser would keep; and nothing is kept of a
token that stands where it should not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from bridge.strangers import WrongTokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Desk

TOKEN = "a-good-token-of-the-office"
CONFIG = f'[intake]\ntokens = ["{TOKEN}"]\nwrong_tokens = "3/1m"\n[server]\ntrusted_proxies = ["127.0.0.1"]\n'
RINGING = {"event_type": "ringing", "call_uuid": "1", "direction": "inbound"}


def guess(desk: Desk, path: str = "/event/wrong", address: str = "198.51.100.7", **options: Any) -> int:
    return desk.post(RINGING, path, headers={"X-Forwarded-For": address}, **options).status_code


def test_who_guesses_tokens_has_to_wait_and_is_told_how_long(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(CONFIG)
    assert [guess(desk) for _ in range(3)] == [401] * 3
    answer = desk.post(RINGING, "/event?token=other", headers={"X-Forwarded-For": "198.51.100.7"})
    assert (answer.status_code, answer.text) == (429, "too many wrong tokens")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "WWW-Authenticate" not in answer.headers
    assert desk.metric("callbridge_posts_total", source="", result="429") == 1


def test_a_right_token_is_taken_from_an_address_that_others_guess_from(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(CONFIG)
    assert [guess(desk) for _ in range(5)] == [401] * 3 + [429] * 2
    assert guess(desk, f"/event/{TOKEN}") == 200
    assert guess(desk, f"/event/wrong?token={TOKEN}") == 200
    assert guess(desk) == 429


def test_other_addresses_are_not_held_back(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(CONFIG)
    assert [guess(desk) for _ in range(4)][-1] == 429
    assert guess(desk, address="198.51.100.8") == 401


def test_who_sends_no_token_does_not_guess(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(CONFIG)
    assert [guess(desk, "/event") for _ in range(9)] == [401] * 9


def test_all_addresses_of_an_ipv6_network_are_one_stranger() -> None:
    wrong = WrongTokens("2/1m")
    assert [wrong.note(ip_address(f"2001:db8::{number}")) is None for number in range(4)] == [True, True, False, False]
    assert wrong.note(ip_address("2001:db8:0:1::1")) is None
    assert wrong.note(None) is None


def test_only_so_many_strangers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.strangers.REMEMBERED", 10)
    wrong = WrongTokens("1/1h")
    for number in range(200):
        assert wrong.note(ip_address(number)) is None
    assert wrong.note(ip_address(199)) == pytest.approx(3600, abs=5)
    assert len(wrong._limiter.storage.storage) <= 11  # type: ignore[attr-defined]  # the one in memory
    assert wrong.note(ip_address(0)) is None


# --- headers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/event/wrong", f"/event/{TOKEN}", "/no/where"])
def test_every_answer_has_the_headers_that_keep_a_browser_in_check(open_desk: Callable[..., Desk], path: str) -> None:
    desk = open_desk(CONFIG)
    for answer in (desk.client.get(path), desk.post(RINGING, path)):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# --- tokens where they should not be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {**RINGING, "token": TOKEN},
        {**RINGING, TOKEN: "x"},
        {**RINGING, "note": [f"a {TOKEN}", "b"]},
        {"no_call": "1", "token": TOKEN},
        f"no_call=1&url=%2Fevent%2F{TOKEN}".encode(),
        TOKEN.encode(),
    ],
)
def test_a_token_in_a_form_is_not_kept(open_desk: Callable[..., Desk], tmp_path: Path, body: Any) -> None:
    desk = open_desk(CONFIG)
    desk.post(body, f"/event/{TOKEN}")
    desk.post(body, f"/event/nobody/{TOKEN}")
    kept = len(desk.events()) + len(desk.quarantine())
    assert kept == 2
    assert "***" in str(desk.quarantine())
    for file in tmp_path.glob("desk.db*"):
        assert TOKEN.encode() not in file.read_bytes()
    with closing(sqlite3.connect(tmp_path / "desk.db")) as store:
        assert TOKEN not in "\n".join(store.iterdump())
