"""The board: what the feed's items make of it, and the cards on it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from callbridge_popup.board import FORGET_AFTER, Board, event_item, found_item
from callbridge_popup.settings import PopupSettings

from bridge import Call, CallData, Contact, Event, Number
from bridge.testing import sample_event

CALLER = Number(raw="05321234567", e164="+905321234567", display="0532 123 45 67", kind="external")
LINE = Number(raw="02129510292", e164="+902129510292", display="(0212) 951 02 92", kind="external")
CALL = json.dumps(["bulutsantralim", "101", "1234"])
AYSE = Contact(name="Ayşe Yılmaz", company="Yılmaz Lojistik", id="4711", note="VIP", directory="customers")
SETTINGS = PopupSettings(
    crm_url="https://crm.example/contacts/{contact_id}", new_url="https://crm.example/contacts/new?phone={e164}"
)


class Feed:
    """A board that is told what happens, at moments of its own."""

    def __init__(self, settings: PopupSettings = SETTINGS) -> None:
        self.board = Board(settings)
        self.id = 0
        self.now = 1_790_000_000.0

    def event(self, event_type: str, extension: str | None = "1001", **call: Any) -> dict[str, dict[str, Any]]:
        shape = {"caller": CALLER, "called": LINE, "dialed_user": extension, "connected_user": None, **call}
        event: Event = sample_event(event_type, **shape)
        assert isinstance(event.data, CallData)
        self.id += 1
        item = event_item(event.model_copy(update={"id": f"evt_{self.id}"}), event.data)
        return self.take({**item, "at": self.now})

    def found(self, *contacts: Contact, history: tuple[Call, ...] = ()) -> dict[str, dict[str, Any]]:
        self.id += 1
        return self.take(found_item(CALL, contacts, history))

    def no_answer(self, *history: Call) -> dict[str, dict[str, Any]]:
        """The directories could not say who it is."""
        self.id += 1
        return self.take(found_item(CALL, None, history))

    def take(self, item: dict[str, Any]) -> dict[str, dict[str, Any]]:
        changed = self.board.take(self.id, json.loads(json.dumps(item)), self.now)
        return {extension: card for extension, (_, card) in changed.items()}

    def cards(self, *extensions: str, after: int = 0) -> list[tuple[int, str]]:
        return [(told, card["state"]) for told, card in self.board.cards(extensions, after, self.now)]


def past(call_id: str, event_type: str, **call: Any) -> Call:
    seen = sample_event(event_type, id=call_id, **call).call
    assert seen is not None
    return seen


def test_the_card_is_out_before_anybody_is_asked_and_says_so() -> None:
    feed = Feed()
    card = feed.event("call.ringing")["1001"]
    assert card["state"] == "ringing"
    assert card["number"] == {"display": "0532 123 45 67", "e164": "+905321234567", "kind": "external"}
    assert (card["line"], card["queue"]) == ("(0212) 951 02 92", "200")
    assert (card["contacts"], card["new_url"], card["history"]) == (None, None, [])


def test_the_name_follows_with_its_link_and_the_last_calls() -> None:
    feed = Feed()
    feed.event("call.ringing")
    before = past("old", "call.completed", connected_user="1002", talk_seconds=65)
    card = feed.found(AYSE, history=(past("1234", "call.ringing"), before))["1001"]
    url = "https://crm.example/contacts/4711"
    assert card["contacts"] == [
        {"name": "Ayşe Yılmaz", "company": "Yılmaz Lojistik", "note": "VIP", "directory": "customers", "url": url}
    ]
    assert card["new_url"] is None
    assert [(one["state"], one["talk_seconds"], one["answered_by"]) for one in card["history"]] == [
        ("completed", 65, "1002")
    ]


def test_two_contacts_are_both_shown() -> None:
    feed = Feed()
    feed.event("call.ringing")
    card = feed.found(AYSE, Contact(name="Ali Yılmaz", id="4712"))["1001"]
    assert [one["url"][-4:] for one in card["contacts"]] == ["4711", "4712"]


def test_an_unknown_caller_can_be_made_a_contact_and_a_withheld_one_cannot() -> None:
    feed = Feed()
    feed.event("call.ringing")
    assert feed.found()["1001"]["new_url"] == "https://crm.example/contacts/new?phone=%2B905321234567"
    feed = Feed()
    feed.event("call.ringing", caller=Number(raw="", e164=None, display="Withheld number", kind="withheld"))
    assert feed.found()["1001"]["new_url"] is None


def test_a_caller_whose_directories_do_not_answer_is_not_called_unknown() -> None:
    feed = Feed()
    feed.event("call.ringing")
    card = feed.no_answer(past("old", "call.missed"))["1001"]
    assert (card["contacts"], card["new_url"], len(card["history"])) == (None, None, 1)
    feed.found(AYSE)
    assert feed.no_answer()["1001"]["contacts"][0]["name"] == "Ayşe Yılmaz"


@pytest.mark.parametrize(("kind", "contacts"), [("external", []), ("withheld", None), ("extension", None)])
def test_a_caller_without_a_number_a_directory_could_know_is_unknown_at_once(kind: Any, contacts: Any) -> None:
    feed = Feed(PopupSettings(new_url="https://crm.example/new?phone={number}"))
    card = feed.event("call.ringing", caller=Number(raw="1 2", e164=None, display="1 2", kind=kind))["1001"]
    assert card["contacts"] == contacts
    assert card["new_url"] == (None if contacts is None else "https://crm.example/new?phone=1%202")
    e164 = Feed().event("call.ringing", caller=Number(raw="1 2", e164=None, display="1 2", kind="external"))["1001"]
    assert (e164["contacts"], e164["new_url"]) == ([], None)


def test_what_was_found_is_for_all_whose_phones_ring_and_stays_with_the_call() -> None:
    feed = Feed()
    feed.event("call.ringing", "1001")
    feed.event("call.ringing", "1002")
    assert {*feed.found(AYSE)} == {"1001", "1002"}
    changed = feed.event("call.answered", "1002", connected_user="1002")
    assert changed["1001"]["state"] == "gone"
    assert changed["1002"]["contacts"][0]["name"] == "Ayşe Yılmaz"


def test_who_comes_later_gets_the_cards_that_are_up_and_hears_of_those_that_left() -> None:
    feed = Feed()
    feed.event("call.ringing", "1001")
    feed.event("call.ringing", "1002")
    assert feed.cards("1001", "1003") == [(1, "ringing")]
    feed.event("call.answered", "1002", connected_user="1002")
    assert feed.cards("1001", "1002") == [(3, "talking")]
    assert sorted(feed.cards("1001", "1002", after=2)) == [(3, "gone"), (3, "talking")]
    assert feed.cards("1001", after=3) == []


def test_a_card_that_ended_does_not_come_back() -> None:
    feed = Feed()
    feed.event("call.ringing")
    feed.event("call.missed")
    assert feed.cards("1001") == []
    assert feed.cards("1001", after=1) == [(2, "gone")]


def test_what_is_over_is_forgotten_and_what_never_ends_is_taken_off() -> None:
    feed = Feed()
    feed.event("call.ringing")
    feed.now += SETTINGS.ringing_for - 1
    assert feed.board.expire(feed.id, feed.now) == []
    feed.now += 2
    (changed,) = feed.board.expire(feed.id, feed.now)
    assert changed["1001"][1]["state"] == "gone"
    feed.now += FORGET_AFTER
    feed.board.expire(feed.id, feed.now)
    assert feed.found(AYSE) == {}
    assert feed.cards("1001", after=1) == []


def test_a_call_of_long_ago_read_after_a_restart_opens_nothing() -> None:
    feed = Feed()
    feed.event("call.ringing")
    feed.now += SETTINGS.ringing_for + FORGET_AFTER + 1
    feed.board.expire(feed.id, feed.now)
    assert feed.cards("1001") == []


def test_the_timer_counts_from_when_the_state_began() -> None:
    feed = Feed()
    feed.event("call.ringing")
    feed.event("call.answered", connected_user="1001")
    feed.now += 65
    ((_, card),) = feed.board.cards(["1001"], 0, feed.now)
    assert card["since"] == 65


def test_control_characters_and_endless_texts_reach_no_screen() -> None:
    feed = Feed()
    feed.event("call.ringing")
    name = "A\x00\x1b\u202e\u2066B"
    card = feed.found(Contact(name=name, note="one\ntwo\r" + "x" * 9999))["1001"]["contacts"][0]
    assert card["name"] == "A    B"
    assert card["note"].startswith("one\ntwo x")
    assert len(card["note"]) == 500


def test_an_ended_card_says_how_it_ended() -> None:
    feed = Feed()
    feed.event("call.ringing")
    assert feed.event("call.missed")["1001"]["result"] == "missed"
