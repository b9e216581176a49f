"""The pages within a test: who is let in, and what each answer forbids."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from callbridge_popup.attempts import MOST
from callbridge_popup.grants import revocation
from callbridge_popup.hub import GRANTS, LOOK_AGAIN, TICK

from bridge.testing import eventually

CRM = "https://crm.example"
OWN = "http://localhost"
FORMS = ("/popup/", "/popup/in/nonsense")


# --- signing in -------------------------------------------------------------------------------------------------------


def test_a_stranger_sees_a_page_to_sign_in_on_and_nothing_else(desk: Any) -> None:
    page = desk.browser().get("/popup/")
    assert page.status_code == 200
    assert 'name="pin"' in page.text
    assert "page.js" not in page.text
    for path in ("/popup/stream", "/popup/stream?token=guess"):
        assert desk.browser().get(path).status_code == 401


def test_a_link_signs_in_and_keeps_no_secret(desk: Any) -> None:
    token, browser = desk.grant("1001").token, desk.browser()
    answer = browser.get(f"/popup/in/{token}")
    assert (answer.status_code, answer.location) == (303, "/popup/")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert token not in answer.text
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/popup/" in cookie
    assert "Secure" not in cookie
    assert "page.js" in browser.get("/popup/").text
    session = re.match(r"callbridge_popup=([^;]+)", cookie)
    assert session
    assert session[1] not in desk.kept()
    assert token not in desk.kept()


def test_the_cookie_is_secure_behind_https(open_desk: Callable[..., Any]) -> None:
    desk = open_desk(home="https://calls.example.com/popup/")
    path = f"/popup/in/{desk.grant('1001').token}"
    assert "Secure" in desk.browser().get(path, headers={"Host": "calls.example.com"}).headers["Set-Cookie"]
    assert "Secure" in desk.browser().get(path, base_url="https://other").headers["Set-Cookie"]
    assert "Secure" not in desk.browser().get(path).headers["Set-Cookie"]


def test_an_extension_and_its_pin_sign_in(desk: Any) -> None:
    pin = desk.grant("1001", "1002").pin
    browser = desk.browser()
    wrong = browser.post("/popup/sign-in", data={"extension": "1001", "pin": "12345678"})
    assert wrong.status_code == 401
    assert "do not belong together" in wrong.text
    assert browser.post("/popup/sign-in", data={"extension": "1002", "pin": pin}).status_code == 401
    typed = {"extension": " 1001 ", "pin": f"{pin[:4]} {pin[4:]}"}
    assert browser.post("/popup/sign-in", data=typed).status_code == 303
    assert "page.js" in browser.get("/popup/").text


def test_guessing_a_pin_is_stopped_where_it_is_done_and_nowhere_else(desk: Any) -> None:
    pin, stranger = desk.grant("1001").pin, desk.browser()
    answers = [stranger.post("/popup/sign-in", data={"extension": "1001", "pin": "0"}) for _ in range(MOST)]
    assert {answer.status_code for answer in answers} == {401}
    right = {"extension": "1001", "pin": pin}
    answer = stranger.post("/popup/sign-in", data=right)
    assert answer.status_code == 429
    assert 290 < int(answer.headers["Retry-After"]) <= 301
    assert "Too many tries" in answer.text
    at_the_desk = {"REMOTE_ADDR": "192.0.2.7"}
    assert desk.browser().post("/popup/sign-in", data=right, environ_base=at_the_desk).status_code == 303


def test_an_extension_nobody_is_granted_is_answered_like_any_other(desk: Any) -> None:
    desk.grant("1001")
    answers = [
        [desk.browser().post("/popup/sign-in", data={"extension": extension, "pin": "0"}) for _ in range(MOST + 1)]
        for extension in ("1001", "1999")
    ]
    granted, unknown = ([(one.status_code, one.text.replace("1999", "1001")) for one in some] for some in answers)
    assert granted == unknown


def test_strangers_do_not_keep_the_store_busy(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = desk.feed.read
    monkeypatch.setattr(desk.feed, "read", lambda *args, **more: reads.append(1) or read(*args, **more))
    browser, began = desk.browser(), time.monotonic()
    for number in range(40):
        assert browser.get(f"/popup/stream?token=guess-{number}").status_code == 401
        browser.set_cookie("callbridge_popup", f"guess-{number}", path="/popup/")
        browser.get("/popup/")
        browser.get(f"/popup/in/guess-{number}")
    assert len(reads) <= 2 + (time.monotonic() - began) * (1 / LOOK_AGAIN + 1 / TICK)
    assert desk.hub.open_streams == 0


def test_signing_out_ends_the_session_and_its_stream_and_no_other(desk: Any) -> None:
    browser, other = desk.signed_in("1001"), desk.signed_in("1001")
    mine, theirs = browser.get("/popup/stream"), other.get("/popup/stream")
    desk.begins(mine)
    desk.begins(theirs)
    assert browser.post("/popup/sign-out").location == "/popup/"
    eventually(lambda: desk.hub.open_streams == 2 and b"".join(mine.response) == b"", "the end of the stream")
    assert 'name="pin"' in browser.get("/popup/").text
    assert "page.js" in other.get("/popup/").text
    theirs.close()


def test_a_revoked_grant_is_over_at_once_everywhere(desk: Any) -> None:
    browser = desk.signed_in("1001")
    stream = browser.get("/popup/stream")
    desk.begins(stream)
    held = desk.hub.sign_in_candidates("1001")
    desk.feed.publish(GRANTS, revocation(held), keep=None)
    assert b"".join(stream.response) == b""
    assert browser.get("/popup/stream").status_code == 401


def test_a_form_of_another_site_signs_nobody_in_or_out(desk: Any) -> None:
    pin, browser = desk.grant("1001").pin, desk.signed_in("1002")
    for origin in ("https://evil.example", "null"):
        evil = {"Origin": origin}
        assert browser.post("/popup/sign-in", data={"extension": "1001", "pin": pin}, headers=evil).status_code == 403
        assert browser.post("/popup/sign-out", headers=evil).status_code == 403
    assert "page.js" in browser.get("/popup/").text
    assert browser.post("/popup/sign-out", headers={"Origin": OWN}).status_code == 303


def test_what_is_typed_comes_back_as_text(desk: Any) -> None:
    answer = desk.browser().post("/popup/sign-in", data={"extension": '"><script>alert(1)</script>', "pin": "1"})
    assert "<script>alert" not in answer.text
    assert "&#34;&gt;&lt;script" in answer.text


def test_the_page_to_sign_in_on_speaks_turkish(open_desk: Callable[..., Any]) -> None:
    page = open_desk("tr").browser().get("/popup/").text
    assert '<html lang="tr">' in page
    assert "Giriş yap" in page


# --- what answers forbid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/popup/", "/popup/page.js", "/popup/in/nonsense", "/popup/stream", "/popup/nothing"])
def test_every_answer_is_strict(desk: Any, path: str) -> None:
    headers = desk.browser().get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == ("strict-origin" if path in FORMS else "no-referrer")


def test_no_page_holds_a_script_or_a_style() -> None:
    for page in (file for file in (files("callbridge_popup") / "web").iterdir() if file.name.endswith(".html")):
        text = page.read_text("utf-8")
        assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []


def test_no_script_makes_markup_of_text() -> None:
    for script in (file for file in (files("callbridge_popup") / "web").iterdir() if file.name.endswith(".js")):
        text = script.read_text("utf-8")
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text) == []


def test_both_languages_have_the_same_words() -> None:
    text = (files("callbridge_popup") / "web" / "words.js").read_text("utf-8")
    english, turkish = (re.findall(r"^    (\w+): \"(.*)\",$", half, re.M) for half in text.split("  tr: {"))
    assert [key for key, _ in english] == [key for key, _ in turkish]
    for (_, one), (_, other) in zip(english, turkish, strict=True):
        assert {*re.findall(r"\{\w+\}", one)} == {*re.findall(r"\{\w+\}", other)}


def test_assets_are_named_one_by_one_and_not_sent_twice(desk: Any) -> None:
    browser = desk.browser()
    script = browser.get("/popup/embed.js")
    assert script.mimetype == "text/javascript"
    again = browser.get("/popup/embed.js", headers={"If-None-Match": script.headers["ETag"]})
    assert again.status_code == 304
    for path in ("page.html", "sign_in.html", "../pages.py", "%2e%2e/pages.py", "py.typed"):
        assert browser.get(f"/popup/{path}").status_code == 404


# --- other pages ------------------------------------------------------------------------------------------------------


def test_only_the_allowed_origins_may_read(desk: Any) -> None:
    token, browser = desk.grant("1001").token, desk.browser()
    login = {"Authorization": f"Bearer {token}"}
    answer = browser.get("/popup/stream", headers=login | {"Origin": CRM})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == CRM
    assert "Access-Control-Allow-Credentials" not in answer.headers
    answer.close()
    assert browser.get("/popup/embedded.js", headers={"Origin": CRM}).headers["Access-Control-Allow-Origin"] == CRM
    for origin in ("https://evil.example", "https://crm.example.evil.example", "http://crm.example", "null"):
        refused = browser.get("/popup/stream", headers=login | {"Origin": origin})
        assert refused.status_code == 403
        assert "Access-Control-Allow-Origin" not in refused.headers
        assert "Access-Control-Allow-Origin" not in browser.get("/popup/card.js", headers={"Origin": origin}).headers


def test_browsers_may_ask_whether_they_may_send_the_token(desk: Any) -> None:
    ask = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    answer = desk.browser().options("/popup/stream", headers=ask | {"Origin": CRM})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == CRM
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    refused = desk.browser().options("/popup/stream", headers=ask | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in refused.headers
