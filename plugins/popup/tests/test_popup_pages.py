"""The pages within a test: who is let in, what each answer forbids, and how many streams there may be."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from callbridge_popup import grants
from callbridge_popup.attempts import MOST
from callbridge_popup.connector import Popup
from callbridge_popup.grants import Issued, new_grant, revocation
from callbridge_popup.hub import GRANTS, LOOK_AGAIN, SESSIONS, TICK
from callbridge_popup.settings import PopupSettings
from flask import Flask
from werkzeug.test import Client, TestResponse

from bridge import BridgeError, Contact, Delivery, Directories, Number, Skip, TemporaryFailure
from bridge.testing import connector_context, eventually, sample_event

CRM = "https://crm.example"
OWN = "http://localhost"
FORMS = ("/popup/", "/popup/in/nonsense")


class NobodyKnows:
    """Directories that answer, and know nobody."""

    def find(self, number: Number, seconds: float | None = None) -> Sequence[Contact] | None:
        return ()


class Desk:
    """A connector that runs within the test."""

    def __init__(self, locale: str, home: str, directories: Directories, **settings: Any) -> None:
        context = connector_context("screens", locale="tr" if locale == "tr" else "en")
        self.context = replace(context, pages_url=home, directories=directories)
        self.feed = self.context.feed
        self.popup = Popup(PopupSettings.model_validate({"allowed_origins": [CRM], **settings}), self.context)
        self.app = Flask("test", static_folder=None)
        self.app.register_blueprint(self.popup.bridge_pages(), url_prefix="/popup")
        self.popup.bridge_start()

    @property
    def hub(self) -> Any:
        return self.popup._hub

    def browser(self) -> Client:
        return self.app.test_client()

    def grant(self, *extensions: str) -> Issued:
        item, issued = new_grant(extensions, "Ayşe", 1.0)
        self.feed.publish(GRANTS, item, keep=None)
        return issued

    def signed_in(self, *extensions: str) -> Client:
        browser = self.browser()
        assert browser.get(f"/popup/in/{self.grant(*extensions).token}").status_code == 303
        return browser

    def kept(self) -> str:
        return json.dumps([dict(item.data) for item in self.feed.read([GRANTS, SESSIONS])])


@pytest.fixture(autouse=True)
def pins_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = "scrypt:1024:8:1"
    monkeypatch.setattr(grants, "NOBODYS_PIN", grants.NOBODYS_PIN.replace(grants.PIN_METHOD, quick))
    monkeypatch.setattr(grants, "PIN_METHOD", quick)


@pytest.fixture
def open_desk() -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(
        locale: str = "en", home: str = f"{OWN}/popup/", directories: Directories | None = None, **settings: Any
    ) -> Desk:
        desks.append(Desk(locale, home, directories or NobodyKnows(), **settings))
        return desks[-1]

    yield make
    for desk in desks:
        desk.popup.bridge_stop()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


def begins(answer: TestResponse) -> str:
    return next(iter(answer.response)).decode()  # type: ignore[union-attr]  # bytes, as they are sent


# --- signing in -------------------------------------------------------------------------------------------------------


def test_a_stranger_sees_a_page_to_sign_in_on_and_nothing_else(desk: Desk) -> None:
    page = desk.browser().get("/popup/")
    assert page.status_code == 200
    assert 'name="pin"' in page.text
    assert "page.js" not in page.text
    for path in ("/popup/stream", "/popup/stream?token=guess"):
        assert desk.browser().get(path).status_code == 401


def test_a_link_signs_in_and_keeps_no_secret(desk: Desk) -> None:
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


def test_the_cookie_is_secure_behind_https(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(home="https://calls.example.com/popup/")
    path = f"/popup/in/{desk.grant('1001').token}"
    assert "Secure" in desk.browser().get(path, headers={"Host": "calls.example.com"}).headers["Set-Cookie"]
    assert "Secure" in desk.browser().get(path, base_url="https://other").headers["Set-Cookie"]
    assert "Secure" not in desk.browser().get(path).headers["Set-Cookie"]


def test_an_extension_and_its_pin_sign_in(desk: Desk) -> None:
    pin = desk.grant("1001", "1002").pin
    browser = desk.browser()
    wrong = browser.post("/popup/sign-in", data={"extension": "1001", "pin": "12345678"})
    assert wrong.status_code == 401
    assert "do not belong together" in wrong.text
    assert browser.post("/popup/sign-in", data={"extension": "1002", "pin": pin}).status_code == 401
    typed = {"extension": " 1001 ", "pin": f"{pin[:4]} {pin[4:]}"}
    assert browser.post("/popup/sign-in", data=typed).status_code == 303
    assert "page.js" in browser.get("/popup/").text


def test_guessing_a_pin_is_stopped_where_it_is_done_and_nowhere_else(desk: Desk) -> None:
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


def test_an_extension_nobody_is_granted_is_answered_like_any_other(desk: Desk) -> None:
    desk.grant("1001")
    answers = [
        [desk.browser().post("/popup/sign-in", data={"extension": extension, "pin": "0"}) for _ in range(MOST + 1)]
        for extension in ("1001", "1999")
    ]
    granted, unknown = ([(one.status_code, one.text.replace("1999", "1001")) for one in some] for some in answers)
    assert granted == unknown


def test_strangers_do_not_keep_the_store_busy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_signing_out_ends_the_session_and_its_stream_and_no_other(desk: Desk) -> None:
    browser, other = desk.signed_in("1001"), desk.signed_in("1001")
    mine, theirs = browser.get("/popup/stream"), other.get("/popup/stream")
    begins(mine)
    begins(theirs)
    assert browser.post("/popup/sign-out").location == "/popup/"
    eventually(lambda: desk.hub.open_streams == 2 and b"".join(mine.response) == b"", "the end of the stream")
    assert 'name="pin"' in browser.get("/popup/").text
    assert "page.js" in other.get("/popup/").text
    theirs.close()


def test_a_revoked_grant_is_over_at_once_everywhere(desk: Desk) -> None:
    browser = desk.signed_in("1001")
    stream = browser.get("/popup/stream")
    begins(stream)
    held = desk.hub.sign_in_candidates("1001")
    desk.feed.publish(GRANTS, revocation(held), keep=None)
    assert b"".join(stream.response) == b""
    assert browser.get("/popup/stream").status_code == 401


def test_a_form_of_another_site_signs_nobody_in_or_out(desk: Desk) -> None:
    pin, browser = desk.grant("1001").pin, desk.signed_in("1002")
    for origin in ("https://evil.example", "null"):
        evil = {"Origin": origin}
        assert browser.post("/popup/sign-in", data={"extension": "1001", "pin": pin}, headers=evil).status_code == 403
        assert browser.post("/popup/sign-out", headers=evil).status_code == 403
    assert "page.js" in browser.get("/popup/").text
    assert browser.post("/popup/sign-out", headers={"Origin": OWN}).status_code == 303


def test_what_is_typed_comes_back_as_text(desk: Desk) -> None:
    answer = desk.browser().post("/popup/sign-in", data={"extension": '"><script>alert(1)</script>', "pin": "1"})
    assert "<script>alert" not in answer.text
    assert "&#34;&gt;&lt;script" in answer.text


def test_the_page_to_sign_in_on_speaks_turkish(open_desk: Callable[..., Desk]) -> None:
    page = open_desk("tr").browser().get("/popup/").text
    assert '<html lang="tr">' in page
    assert "Giriş yap" in page


# --- what answers forbid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/popup/", "/popup/page.js", "/popup/in/nonsense", "/popup/stream", "/popup/nothing"])
def test_every_answer_is_strict(desk: Desk, path: str) -> None:
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


def test_assets_are_named_one_by_one_and_not_sent_twice(desk: Desk) -> None:
    browser = desk.browser()
    script = browser.get("/popup/embed.js")
    assert script.mimetype == "text/javascript"
    again = browser.get("/popup/embed.js", headers={"If-None-Match": script.headers["ETag"]})
    assert again.status_code == 304
    for path in ("page.html", "sign_in.html", "../pages.py", "%2e%2e/pages.py", "py.typed"):
        assert browser.get(f"/popup/{path}").status_code == 404


# --- other pages ------------------------------------------------------------------------------------------------------


def test_only_the_allowed_origins_may_read(desk: Desk) -> None:
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


def test_browsers_may_ask_whether_they_may_send_the_token(desk: Desk) -> None:
    ask = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    answer = desk.browser().options("/popup/stream", headers=ask | {"Origin": CRM})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == CRM
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    refused = desk.browser().options("/popup/stream", headers=ask | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in refused.headers


# --- streams ----------------------------------------------------------------------------------------------------------


def test_past_the_limit_streams_are_answered_503_and_a_place_that_is_left_is_free(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(streams=2)
    browser = desk.signed_in("1001")
    first, _second = browser.get("/popup/stream"), browser.get("/popup/stream")
    begins(first)
    full = browser.get("/popup/stream")
    assert full.status_code == 503
    assert 5 <= int(full.headers["Retry-After"]) <= 15
    assert browser.get("/popup/").status_code == 200
    first.close()
    assert browser.get("/popup/stream").status_code == 200


def test_a_place_whose_client_is_gone_is_given_to_the_next_one_at_once(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(streams=1)
    browser = desk.signed_in("1001")
    gone = iter(browser.get("/popup/stream").response)
    next(gone)

    def server() -> None:
        next(gone)  # what it says cannot be sent any more
        gone.close()  # type: ignore[attr-defined]  # a generator

    thread = threading.Thread(target=server)
    thread.start()
    assert browser.get("/popup/stream").status_code == 200
    thread.join(5)


def test_asking_for_the_headers_alone_opens_no_stream(desk: Desk) -> None:
    answer = desk.signed_in("1001").head("/popup/stream")
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert desk.hub.open_streams == 0


def test_a_stream_that_is_closed_before_it_is_read_leaves_its_place(desk: Desk) -> None:
    answer = desk.signed_in("1001").get("/popup/stream")
    assert desk.hub.open_streams == 1
    answer.close()
    assert desk.hub.open_streams == 0


def test_a_stream_begins_with_the_cards_and_the_greeting(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk("tr", ringing_for="10m", ended_for="5s")
    desk.popup.bridge_deliver(delivery("call.ringing"))
    browser = desk.signed_in("1001")
    text = eventually(lambda: _with_card(begins(browser.get("/popup/stream"))), "the card")
    assert text.startswith("retry: 2000\n\nid: ")
    call, hello = (json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: "))
    assert call["state"] == "ringing"
    assert hello == {
        "agent": "Ayşe",
        "extensions": ["1001"],
        "locale": "tr",
        "ringing_for": 600.0,
        "ended_for": 5.0,
        "cards": [call["card"]],
    }


def _with_card(text: str, also: str = "") -> str | None:
    return text if "event: call" in text and also in text else None


@pytest.mark.parametrize("said", ["", "nonsense", "-1", "9" * 40, "１２"])
def test_a_last_event_id_that_is_none_is_no_harm(desk: Desk, said: str) -> None:
    browser = desk.signed_in("1001")
    assert "hello" in begins(browser.get("/popup/stream", headers={"Last-Event-ID": said.encode().decode("latin-1")}))


def test_nothing_is_opened_while_the_bridge_stops(desk: Desk) -> None:
    browser = desk.signed_in("1001")
    stream = browser.get("/popup/stream")
    begins(stream)
    desk.popup.bridge_stop()
    assert b"".join(stream.response) == b""
    assert browser.get("/popup/stream").status_code == 503


# --- the connector ----------------------------------------------------------------------------------------------------


def delivery(event_type: str, **call: Any) -> Delivery:
    event = sample_event(event_type, **call)
    data = event.data.model_copy(update={"received_at": datetime.now(UTC)})
    event = event.model_copy(update={"data": data})
    return Delivery(id="dlv_1", connector="screens", target="", attempt=1, event=event)


def test_what_no_screen_shows_is_skipped(desk: Desk) -> None:
    assert isinstance(desk.popup.bridge_deliver(delivery("other")), Skip)
    assert desk.popup.bridge_deliver(delivery("call.missed")) is None


def test_a_number_that_is_masked_is_shown_so_and_nobody_is_called_unknown(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(new_url="https://crm.example/new?phone={number}")
    masked = Number(raw="0532*****67", e164=None, display="0532 *** ** 67", kind="external")
    desk.popup.bridge_deliver(delivery("call.ringing", caller=masked))
    desk.popup.bridge_deliver(delivery("call.ringing", id="open"))
    browser = desk.signed_in("1001")
    text = eventually(lambda: _with_card(begins(browser.get("/popup/stream")), 'contacts": []'), "the other card")
    cards = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ") and "number" in line]
    (card,) = (card for card in cards if card["number"]["display"] == "0532 *** ** 67")
    assert (card["contacts"], card["new_url"], card["history"]) == (None, None, [])


class BackLater:
    """Directories that are down when they are asked first."""

    def __init__(self) -> None:
        self.asked = 0

    def find(self, number: Number, seconds: float | None = None) -> Sequence[Contact] | None:
        self.asked += 1
        return None if self.asked == 1 else [Contact(name="Mehmet")]


def test_who_could_not_be_looked_up_is_looked_up_with_the_next_event(open_desk: Callable[..., Desk]) -> None:
    directories = BackLater()
    desk = open_desk(directories=directories, new_url="https://crm.example/new?phone={e164}")
    for event_type in ("call.ringing", "call.answered", "call.answered"):
        before = desk.feed.last_id()
        desk.popup.bridge_deliver(delivery(event_type))
        eventually(lambda before=before: directories.asked == 2 or desk.feed.last_id() == before + 2, "the lookup")
    said = [item.data["contacts"] for item in desk.feed.read(["calls"]) if "contacts" in item.data]
    assert directories.asked == 2
    assert [None if one is None else one[0]["name"] for one in said] == [None, "Mehmet"]


def test_a_store_that_is_down_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise BridgeError("the store is locked")

    monkeypatch.setattr(desk.feed, "publish", fail)
    with pytest.raises(TemporaryFailure, match="the store is locked"):
        desk.popup.bridge_deliver(delivery("call.ringing"))


def test_a_store_that_is_down_signs_nobody_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = desk.signed_in("1001")
    assert "page.js" in browser.get("/popup/").text

    def fail(*_: object, **__: object) -> int:
        raise BridgeError("the store is locked")

    monkeypatch.setattr(desk.feed, "read", fail)
    assert "page.js" in browser.get("/popup/").text
    answer = desk.browser().get("/popup/stream?token=another")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_an_item_nobody_can_read_costs_only_itself(desk: Desk) -> None:
    desk.feed.publish("calls", {"nonsense": True}, keep=60)
    desk.popup.bridge_deliver(delivery("call.ringing"))
    browser = desk.signed_in("1001")
    eventually(lambda: _with_card(begins(browser.get("/popup/stream"))), "the card")
