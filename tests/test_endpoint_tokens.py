"""Who may post: the token, in every place where a PBX can put it, and what the others are told."""

from __future__ import annotations

import hmac
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Desk, Office

TWO_SOURCES = """
[intake]
tokens = ["a-good-token"]
[sources.bulutsantralim]
[sources.branch]
kind = "bulutsantralim"
timezone = "Europe/Berlin"
"""

PLACES = [
    "/event/{token}",
    "/event/{token}/",
    "/event?token={token}",
    "/event/?token={token}",
    "/event/bulutsantralim/{token}",
    "/event/bulutsantralim/{token}/",
    "/event/bulutsantralim?token={token}",
    "/event/bulutsantralim/?token={token}",
]
LOGIN_PATHS = ["/event", "/event/", "/event/bulutsantralim", "/event/bulutsantralim/"]


@pytest.mark.parametrize("place", PLACES)
def test_each_of_several_tokens_opens_in_every_place_of_the_url(office: Office, place: str) -> None:
    for token in (office.token, office.other_token):
        call_id = office.new_id()
        form = {**office.call, "event_type": "ringing", "call_uuid": call_id}
        answer = office.post(form, place.format(token=quote(token, safe="")))
        assert (answer.status_code, answer.text) == (200, call_id)


@pytest.mark.parametrize("path", LOGIN_PATHS)
def test_each_of_several_tokens_opens_as_the_password_of_basic_auth(office: Office, path: str) -> None:
    for token in (office.token, office.other_token):
        answer = office.post(b"{}", path, auth=("anybody", token.encode()))
        assert (answer.status_code, answer.text) == (200, "ok")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("token", ["wrong", "%ff%fe", ""])
def test_a_wrong_token_or_none_is_told_so_in_text(office: Office, place: str, token: str) -> None:
    path = place.format(token=token)
    if "//" not in path:
        assert_refused(office.post({**office.missed, "call_uuid": "stranger"}, path))


@pytest.mark.parametrize("path", LOGIN_PATHS)
@pytest.mark.parametrize(
    "options",
    [
        {"auth": ("a-token-of-the-office", "wrong")},
        {"auth": ("anybody", b"\xff\xfe")},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"Authorization": "Bearer a-token-of-the-office"}},
        {},
    ],
)
def test_a_wrong_password_or_none_is_told_so_in_text(office: Office, path: str, options: dict[str, Any]) -> None:
    assert_refused(office.post({**office.missed, "call_uuid": "stranger"}, path, **options))


def test_a_right_token_in_one_place_makes_up_for_a_wrong_one_in_another(office: Office) -> None:
    assert office.post(b"{}", f"/event/wrong?token={office.token}").status_code == 200
    assert office.post(b"{}", f"/event?token={office.token}", auth=("anybody", "wrong")).status_code == 200


def test_a_token_is_compared_whole_and_by_case(office: Office) -> None:
    for almost in (office.token[:-1], office.token + "x", office.token.upper(), f"{office.token}%00"):
        assert_refused(office.post(b"{}", f"/event/{almost}"))


def test_tokens_are_compared_in_constant_time_and_all_of_them(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = open_desk('[intake]\ntokens = ["first", "second", "third"]')
    compared = []

    def compare(given: bytes, token: bytes) -> bool:
        compared.append((given, token))
        return hmac.compare_digest(given, token)

    monkeypatch.setattr("bridge.intake.hmac", SimpleNamespace(compare_digest=compare))
    for token, status in (("first", 200), ("third", 200), ("wrong", 401)):
        compared.clear()
        assert desk.post(b"{}", f"/event/{token}").status_code == status
        assert compared == [(token.encode(), known) for known in (b"first", b"second", b"third")]


def test_nothing_of_a_stranger_is_kept(office: Office) -> None:
    office.post({**office.missed, "call_uuid": "stranger"}, "/event/wrong")
    office.post(b"no_call=1", "/event/wrong")
    assert office.kept("stranger") == []
    assert {"no_call": "1"} not in [row["raw"] for row in office.rows("quarantine")]


def test_a_stranger_learns_nothing_of_the_sources(office: Office) -> None:
    assert_refused(office.post(b"{}", "/event/no_such_source/wrong"))


def test_no_token_is_ever_logged(office: Office) -> None:
    for token in (office.token, quote(office.other_token, safe="")):
        office.post({**office.missed, "call_uuid": office.new_id()}, f"/event/{token}")
        office.post(b"no_call=1", f"/event?token={token}")
        office.post(b"{}", f"/event/{token}/too/far?token={token}")
        office.bridge.get(f"/event/{token}")
    office.post(b"{}", "/event", auth=("anybody", office.token))
    log = office.bridge.log.read_text("utf-8")
    assert "DEBUG" in log
    assert office.token not in log
    assert office.other_token not in log
    assert quote(office.other_token, safe="") not in log


def test_what_is_no_post_is_answered_in_text_without_the_url(office: Office) -> None:
    for answer, status in (
        (office.bridge.get(office.path), 405),
        (office.post(b"{}", f"{office.path}/too/far"), 404),
        (office.post(b"{}", f"/event//{office.token}", allow_redirects=False), 404),
    ):
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
        assert office.token not in answer.text


# --- several kinds of PBX -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["bulutsantralim", "branch"])
def test_a_path_names_the_source(open_desk: Callable[..., Desk], source: str) -> None:
    desk = open_desk(TWO_SOURCES)
    form = {"event_type": "ringing", "call_uuid": "1", "start_stamp": "2026-07-01 09:00:00"}
    assert desk.post(form, f"/event/{source}/a-good-token").text == "1"
    assert desk.post(form, f"/event/{source}?token=a-good-token").text == "1"
    assert desk.post(form, f"/event/{source}/", auth=("anybody", "a-good-token")).text == "1"
    (event,) = desk.events()
    assert event["data"]["source"] == source
    offset = {"bulutsantralim": "+03:00", "branch": "+02:00"}[source]
    assert event["data"]["call"]["started_at"] == f"2026-07-01T09:00:00{offset}"


def test_the_same_call_id_at_two_sources_is_two_calls(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(TWO_SOURCES)
    form = {"event_type": "hangup", "call_uuid": "1", "direction": "inbound", "answered": "false"}
    for source in ("bulutsantralim", "branch"):
        desk.post(form, f"/event/{source}/a-good-token")
    assert desk.types() == ["call.missed", "call.missed"]


def test_without_a_source_a_bridge_of_several_asks_which(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(TWO_SOURCES)
    answer = desk.post({"event_type": "ringing", "call_uuid": "1"}, "/event/a-good-token")
    assert answer.status_code == 400
    assert answer.text == "which source? Post to one of /event/branch/…, /event/bulutsantralim/…"
    assert desk.post(b"{}", "/event/nobody/a-good-token").status_code == 404
    assert desk.events() == []


def assert_refused(answer: Any) -> None:
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "the token is missing or wrong"
