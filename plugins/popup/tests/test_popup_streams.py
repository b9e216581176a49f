"""The streams within a test: how many there may be, what they say, and what is published for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge import BridgeError, Contact, Delivery, Number, Skip, TemporaryFailure
from bridge.testing import eventually, sample_event

# --- streams ----------------------------------------------------------------------------------------------------------


def test_past_the_limit_streams_are_answered_503_and_a_place_that_is_left_is_free(
    open_desk: Callable[..., Any],
) -> None:
    desk = open_desk(streams=2)
    browser = desk.signed_in("1001")
    first, _second = browser.get("/popup/stream"), browser.get("/popup/stream")
    desk.begins(first)
    full = browser.get("/popup/stream")
    assert full.status_code == 503
    assert 5 <= int(full.headers["Retry-After"]) <= 15
    assert browser.get("/popup/").status_code == 200
    first.close()
    assert browser.get("/popup/stream").status_code == 200


def test_a_place_whose_client_is_gone_is_given_to_the_next_one_at_once(open_desk: Callable[..., Any]) -> None:
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


def test_asking_for_the_headers_alone_opens_no_stream(desk: Any) -> None:
    answer = desk.signed_in("1001").head("/popup/stream")
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert desk.hub.open_streams == 0


def test_a_stream_that_is_closed_before_it_is_read_leaves_its_place(desk: Any) -> None:
    answer = desk.signed_in("1001").get("/popup/stream")
    assert desk.hub.open_streams == 1
    answer.close()
    assert desk.hub.open_streams == 0


def test_a_stream_begins_with_the_cards_and_the_greeting(open_desk: Callable[..., Any]) -> None:
    desk = open_desk("tr", ringing_for="10m", ended_for="5s")
    desk.popup.bridge_deliver(delivery("call.ringing"))
    browser = desk.signed_in("1001")
    text = eventually(lambda: _with_card(desk.begins(browser.get("/popup/stream"))), "the card")
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
def test_a_last_event_id_that_is_none_is_no_harm(desk: Any, said: str) -> None:
    browser = desk.signed_in("1001")
    assert "hello" in desk.begins(
        browser.get("/popup/stream", headers={"Last-Event-ID": said.encode().decode("latin-1")})
    )


def test_nothing_is_opened_while_the_bridge_stops(desk: Any) -> None:
    browser = desk.signed_in("1001")
    stream = browser.get("/popup/stream")
    desk.begins(stream)
    desk.popup.bridge_stop()
    assert b"".join(stream.response) == b""
    assert browser.get("/popup/stream").status_code == 503


# --- the connector ----------------------------------------------------------------------------------------------------


def delivery(event_type: str, **call: Any) -> Delivery:
    event = sample_event(event_type, **call)
    data = event.data.model_copy(update={"received_at": datetime.now(UTC)})
    event = event.model_copy(update={"data": data})
    return Delivery(id="dlv_1", connector="screens", target="", attempt=1, event=event)


def test_what_no_screen_shows_is_skipped(desk: Any) -> None:
    assert isinstance(desk.popup.bridge_deliver(delivery("other")), Skip)
    assert desk.popup.bridge_deliver(delivery("call.missed")) is None


def test_a_number_that_is_masked_is_shown_so_and_nobody_is_called_unknown(open_desk: Callable[..., Any]) -> None:
    desk = open_desk(new_url="https://crm.example/new?phone={number}")
    masked = Number(raw="0532*****67", e164=None, display="0532 *** ** 67", kind="external")
    desk.popup.bridge_deliver(delivery("call.ringing", caller=masked))
    desk.popup.bridge_deliver(delivery("call.ringing", id="open"))
    browser = desk.signed_in("1001")
    text = eventually(lambda: _with_card(desk.begins(browser.get("/popup/stream")), 'contacts": []'), "the other card")
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


def test_who_could_not_be_looked_up_is_looked_up_with_the_next_event(open_desk: Callable[..., Any]) -> None:
    directories = BackLater()
    desk = open_desk(directories=directories, new_url="https://crm.example/new?phone={e164}")
    for event_type in ("call.ringing", "call.answered", "call.answered"):
        before = desk.feed.last_id()
        desk.popup.bridge_deliver(delivery(event_type))
        eventually(lambda before=before: directories.asked == 2 or desk.feed.last_id() == before + 2, "the lookup")
    said = [item.data["contacts"] for item in desk.feed.read(["calls"]) if "contacts" in item.data]
    assert directories.asked == 2
    assert [None if one is None else one[0]["name"] for one in said] == [None, "Mehmet"]


def test_a_store_that_is_down_is_tried_again(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise BridgeError("the store is locked")

    monkeypatch.setattr(desk.feed, "publish", fail)
    with pytest.raises(TemporaryFailure, match="the store is locked"):
        desk.popup.bridge_deliver(delivery("call.ringing"))


def test_a_store_that_is_down_signs_nobody_out(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = desk.signed_in("1001")
    assert "page.js" in browser.get("/popup/").text

    def fail(*_: object, **__: object) -> int:
        raise BridgeError("the store is locked")

    monkeypatch.setattr(desk.feed, "read", fail)
    assert "page.js" in browser.get("/popup/").text
    answer = desk.browser().get("/popup/stream?token=another")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_an_item_nobody_can_read_costs_only_itself(desk: Any) -> None:
    desk.feed.publish("calls", {"nonsense": True}, keep=60)
    desk.popup.bridge_deliver(delivery("call.ringing"))
    browser = desk.signed_in("1001")
    eventually(lambda: _with_card(desk.begins(browser.get("/popup/stream"))), "the card")
