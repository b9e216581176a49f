"""The public JSON form of an event, as the webhook connector sends it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from bridge import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Desk, Office

ABANDONED = {
    "event_type": "hangup",
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "outbound_caller_id_number": "",
    "destination_number": "1001",
    "dialed_user": "1001",
    "connected_user": "",
    "start_stamp": "2016-01-01 00:00:00",
    "answer_stamp": "",
    "end_stamp": "2016-01-01 00:00:20",
    "duration": "0",
    "recording_present": "false",
    "answered": "false",
    "queue": "200",
    "queue_wait_duration": "15",
    "sip_hangup_disposition": "caller",
    "hangup_cause": "ORIGINATOR_CANCEL",
    "failure_status": "",
    "failure_phrase": "",
}

ANSWERED = ABANDONED | {
    "connected_user": "1002",
    "start_stamp": "2026-07-01 09:00:00",
    "answer_stamp": "2026-07-01 09:00:08",
    "end_stamp": "2026-07-01 09:02:13",
    "duration": "133",
    "recording_present": "true",
    "answered": "true",
    "hangup_cause": "NORMAL_CLEARING",
}


def external(raw: str, e164: str, display: str) -> dict[str, str | None]:
    return {"raw": raw, "e164": e164, "display": display, "kind": "external"}


def test_a_missed_call_has_exactly_the_keys_and_values_of_the_documentation(office: Office) -> None:
    call_id = office.tell(ABANDONED)
    (arrival,) = office.arrivals(call_id)
    event = arrival.json()
    received_at = event["data"]["received_at"]
    assert event == {
        "id": event["id"],
        "type": "call.missed",
        "timestamp": "2016-01-01T00:00:20+02:00",
        "data": {
            "source": "bulutsantralim",
            "tenant": "101",
            "received_at": received_at,
            "call": {
                "id": call_id,
                "direction": "inbound",
                "state": "missed",
                "caller": external("02123205062", "+902123205062", "(0212) 320 50 62"),
                "called": {"raw": "1001", "e164": None, "display": "1001", "kind": "extension"},
                "outside_number": None,
                "dialed_user": "1001",
                "connected_user": None,
                "rang": ["1001"],
                "queue": "200",
                "started_at": "2016-01-01T00:00:00+02:00",
                "answered_at": None,
                "ended_at": "2016-01-01T00:00:20+02:00",
                "talk_seconds": 0,
                "wait_seconds": 20,
                "queue_wait_seconds": 15,
                "hung_up_by": "caller",
                "cause": "ORIGINATOR_CANCEL",
                "cause_text": "Vazgeçildi",
                "recording_present": False,
                "failure_status": None,
                "failure_phrase": None,
            },
            "contact": None,
            "raw": {**ABANDONED, "call_uuid": call_id},
        },
    }
    assert event["id"].startswith("evt_")
    assert arrival.headers["webhook-id"] == event["id"]
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(received_at) < timedelta(minutes=1)
    assert received_at.endswith("+03:00")
    assert office.kept(call_id) == [event]


def test_plugins_see_the_same_as_frozen_types(office: Office) -> None:
    (arrival,) = office.arrivals(office.tell(ABANDONED))
    event = Event.from_json(arrival.body)
    assert event.call is not None
    assert json.loads(event.to_json()) == arrival.json()
    for record, name in ((event, "type"), (event.data, "raw"), (event.call, "state"), (event.call.caller, "raw")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(record, name, "other")


def test_an_answered_call_says_how_long_it_waited_and_talked(office: Office) -> None:
    event = office.hear(ANSWERED)
    call = event["data"]["call"]
    assert (event["type"], call["state"]) == ("call.completed", "completed")
    assert (call["connected_user"], call["dialed_user"], call["rang"]) == ("1002", "1001", ["1001"])
    assert (call["wait_seconds"], call["talk_seconds"], call["queue_wait_seconds"]) == (8, 125, 15)
    assert call["answered_at"] == "2026-07-01T09:00:08+03:00"
    assert (call["recording_present"], call["cause_text"]) == (True, "Cevaplandı")


def test_an_answer_says_who_took_the_call_just_now_also_after_it_was_passed_on(office: Office) -> None:
    first = {"event_type": "answer", "dialed_user": "1001", "connected_user": "1001"}
    call_id = office.tell(office.call, **first, answer_stamp="2016-01-01 00:00:08")
    office.tell(office.call, call_uuid=call_id, event_type="ringing", dialed_user="1003")
    passed_on = {"event_type": "answer", "dialed_user": "1003", "connected_user": "1003"}
    office.tell(office.call, **passed_on, call_uuid=call_id, answer_stamp="2016-01-01 00:01:00")

    calls = [event["data"]["call"] for event in office.heard(call_id, 3)]
    assert [call["connected_user"] for call in calls] == ["1001", "1001", "1003"]
    assert calls[-1]["answered_at"] == calls[0]["answered_at"]


def test_an_event_happened_at_its_own_stamp_or_when_it_came(office: Office) -> None:
    stamps = {name: ANSWERED[name] for name in ("start_stamp", "answer_stamp", "end_stamp")}
    happened = {
        "ringing": "2026-07-01T09:00:00+03:00",
        "answer": "2026-07-01T09:00:08+03:00",
        "user_hangup": "2026-07-01T09:02:13+03:00",
        "hangup": "2026-07-01T09:02:13+03:00",
    }
    for event_type, timestamp in happened.items():
        assert office.hear(stamps, event_type=event_type)["timestamp"] == timestamp
        unstamped = office.hear(office.call, event_type=event_type, start_stamp="")
        assert unstamped["timestamp"] == unstamped["data"]["received_at"]


def test_each_event_shows_the_call_as_it_left_it(office: Office) -> None:
    call_id = office.new_id()
    steps: list[dict[str, str]] = [
        {"event_type": "ringing", "dialed_user": "1002"},
        {"event_type": "ringing", "dialed_user": "1001"},
        {"event_type": "answer", "connected_user": "1001", "answer_stamp": ANSWERED["answer_stamp"]},
        {"event_type": "user_hangup", "dialed_user": "1002", "hangup_cause": "LOSE_RACE"},
        {**ANSWERED},
    ]
    events = []
    for step in steps:
        office.tell({**office.call, "start_stamp": ANSWERED["start_stamp"], **step}, call_uuid=call_id)
        events = office.heard(call_id, len(events) + 1)
    shown = [
        (event["type"], call["state"], call["dialed_user"], call["rang"], call["wait_seconds"], call["talk_seconds"])
        for event in events
        for call in [event["data"]["call"]]
    ]
    assert shown == [
        ("call.ringing", "ringing", "1002", ["1002"], None, None),
        ("call.ringing", "ringing", "1001", ["1001", "1002"], None, None),
        ("call.answered", "answered", "1001", ["1001", "1002"], 8, None),
        ("leg.ended", "answered", "1002", ["1001", "1002"], 8, None),
        ("call.completed", "completed", "1001", ["1001", "1002"], 8, 125),
    ]
    assert len({event["id"] for event in events}) == 5
    assert office.kept(call_id) == events


def test_talk_time_is_told_by_the_stamps_and_else_by_the_duration(office: Office) -> None:
    assert office.hear(ANSWERED, duration="9999")["data"]["call"]["talk_seconds"] == 125
    assert office.hear(ANSWERED, end_stamp="")["data"]["call"]["talk_seconds"] == 133
    assert office.hear(ANSWERED, end_stamp="", duration="00:02:05")["data"]["call"]["talk_seconds"] == 125
    assert office.hear(ANSWERED, end_stamp="", duration="")["data"]["call"]["talk_seconds"] is None


def test_a_call_that_only_a_machine_took_was_never_answered(office: Office) -> None:
    queued = {"answer_stamp": "2016-01-01 00:00:05", "queue_wait_duration": "15"}
    call_id = office.tell(ABANDONED | queued, event_type="answer")
    office.tell(ABANDONED | queued, call_uuid=call_id)
    answered, missed = office.heard(call_id, 2)
    assert (answered["type"], missed["type"]) == ("call.answered", "call.missed")
    for event in (answered, missed):
        assert event["data"]["call"]["answered_at"] is None
    assert (missed["data"]["call"]["wait_seconds"], missed["data"]["call"]["queue_wait_seconds"]) == (20, 15)


@pytest.mark.parametrize(
    ("stamp", "read"),
    [
        ("2016-01-01 00:00:00", "2016-01-01T00:00:00+02:00"),
        ("2016-07-01 00:00:00", "2016-07-01T00:00:00+03:00"),
        ("2026-01-01 00:00:00", "2026-01-01T00:00:00+03:00"),
        ("2017-08-03 12:30:32 +0300", "2017-08-03T12:30:32+03:00"),
        ("2017-08-03 09:30:32 UTC", "2017-08-03T12:30:32+03:00"),
        ("2017-08-03T09:30:32Z", "2017-08-03T12:30:32+03:00"),
    ],
)
def test_stamps_are_local_time_of_their_day_in_istanbul(office: Office, stamp: str, read: str) -> None:
    event = office.hear(office.call, event_type="ringing", start_stamp=stamp)
    assert event["data"]["call"]["started_at"] == event["timestamp"] == read


@pytest.mark.parametrize(
    ("raw", "e164", "display", "kind"),
    [
        ("05301234567", "+905301234567", "0530 123 45 67", "external"),
        ("02123205062", "+902123205062", "(0212) 320 50 62", "external"),
        ("905320000000", "+905320000000", "0532 000 00 00", "external"),
        ("+905320000000", "+905320000000", "0532 000 00 00", "external"),
        ("00493089680211", "+493089680211", "+49 30 89680211", "external"),
        ("1001", None, "1001", "extension"),
        ("123456", None, "123456", "extension"),
        ("*8", None, "*8", "service"),
        ("", None, "Gizli numara", "withheld"),
        ("anonymous", None, "Gizli numara", "withheld"),
        ("Anonymous", None, "Gizli numara", "withheld"),
        ("unknown", None, "Gizli numara", "withheld"),
        ("112", None, "112", "extension"),
        ("no number", None, "no number", "external"),
    ],
)
def test_a_caller_is_shown_as_people_and_programs_need_it(
    office: Office, raw: str, e164: str | None, display: str, kind: str
) -> None:
    event = office.hear(office.missed, caller_id_number=raw)
    assert event["data"]["call"]["caller"] == {"raw": raw, "e164": e164, "display": display, "kind": kind}


def test_a_caller_of_whom_nothing_came_is_withheld(office: Office) -> None:
    event = office.hear({"event_type": "ringing", "destination_number": "02129510292", "direction": "inbound"})
    call = event["data"]["call"]
    assert call["caller"] == {"raw": "", "e164": None, "display": "Gizli numara", "kind": "withheld"}
    assert call["called"] == external("02129510292", "+902129510292", "(0212) 951 02 92")
    assert (call["rang"], call["dialed_user"], event["data"]["tenant"]) == ([], None, None)


@pytest.mark.parametrize(
    ("direction", "called", "kind"),
    [
        ("outbound", "112", "service"),
        ("internal", "112", "service"),
        ("inbound", "112", "extension"),
        ("internal", "*8", "service"),
    ],
)
def test_a_short_number_is_a_service_when_called_from_inside(
    office: Office, direction: str, called: str, kind: str
) -> None:
    event = office.hear(office.call, event_type="ringing", direction=direction, destination_number=called)
    assert event["data"]["call"]["called"] == {"raw": called, "e164": None, "display": called, "kind": kind}


def test_an_outbound_call_shows_the_outside_number(office: Office) -> None:
    event = office.hear(
        office.call,
        event_type="hangup",
        direction="outbound",
        caller_id_number="1001",
        destination_number="05320000001",
        outbound_caller_id_number="02129510292",
        dialed_user="",
        hangup_cause="NO_ANSWER",
        failure_status="480",
        failure_phrase="Temporarily Unavailable",
        sip_hangup_disposition="recv_cancel",
    )
    call = event["data"]["call"]
    assert (event["type"], call["state"]) == ("call.unanswered", "unanswered")
    assert call["outside_number"] == external("02129510292", "+902129510292", "(0212) 951 02 92")
    assert (call["caller"]["kind"], call["called"]["e164"]) == ("extension", "+905320000001")
    assert (call["failure_status"], call["failure_phrase"]) == ("480", "Temporarily Unavailable")
    assert (call["hung_up_by"], call["cause_text"], call["rang"]) == ("recv_cancel", "Cevapsız", [])


def test_a_cause_the_vendor_does_not_list_keeps_its_name(office: Office) -> None:
    call = office.hear(office.missed, hangup_cause="SOMETHING_NEW")["data"]["call"]
    assert (call["cause"], call["cause_text"]) == ("SOMETHING_NEW", None)


def test_texts_follow_the_locale_which_is_english_unless_set(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.post(ABANDONED | {"call_uuid": "1", "caller_id_number": "anonymous"})
    call: dict[str, Any] = desk.events()[0]["data"]["call"]
    assert (call["caller"]["display"], call["cause_text"]) == ("Withheld number", "Caller gave up")


def test_zone_and_region_are_the_sources_own(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk('[sources.bulutsantralim]\ntimezone = "Europe/Berlin"\nregion = "DE"')
    desk.post(ABANDONED | {"call_uuid": "1", "caller_id_number": "03089680211"})
    call = desk.events()[0]["data"]["call"]
    assert call["started_at"] == "2016-01-01T00:00:00+01:00"
    assert call["caller"] == external("03089680211", "+493089680211", "030 89680211")
