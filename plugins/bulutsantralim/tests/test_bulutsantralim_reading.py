"""What the source makes of a post of the PBX."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from callbridge_bulutsantralim import bridge_sources
from callbridge_bulutsantralim.causes import CAUSES
from callbridge_bulutsantralim.source import Bulutsantralim, Settings
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge import Facts, Fields, Post, Reading, SourceContext, Unreadable

ISTANBUL = ZoneInfo("Europe/Istanbul")
SAMPLE = {
    "event_type": "ringing",
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "outbound_caller_id_number": "",
    "destination_number": "1001",
    "dialed_user": "1001",
    "call_uuid": "1234",
    "start_stamp": "2016-01-01 00:00:00",
}


def source(**own: Any) -> Bulutsantralim:
    return Bulutsantralim(Settings(**own), SourceContext("santral", ISTANBUL, "TR"))


def post(fields: Fields) -> Post:
    return Post(fields, b"", "application/x-www-form-urlencoded", datetime(2026, 7, 25, tzinfo=UTC))


def read(fields: Fields | None = None, /, **more: str | list[str]) -> Reading:
    reading = source().read(post({**(SAMPLE if fields is None else fields), **more}))
    assert reading is not None
    return reading


def test_the_specifications_sample_is_a_ringing() -> None:
    assert read() == Reading(
        kind="ringing",
        call_id="1234",
        tenant="101",
        facts=Facts(
            direction="inbound",
            caller="02123205062",
            called="1001",
            dialed_user="1001",
            started_at=datetime(2016, 1, 1, tzinfo=ISTANBUL),
        ),
        raw=SAMPLE,
        flag_hint=read().flag_hint,
    )
    started = read().facts.started_at
    assert started is not None
    assert started.isoformat() == "2016-01-01T00:00:00+02:00"


def test_a_hangup_says_everything() -> None:
    facts = read(
        event_type="hangup",
        connected_user="1005",
        answer_stamp="2016-01-01 00:00:08",
        end_stamp="2016-01-01 00:01:08",
        duration="60",
        recording_present="true",
        queue="200",
        queue_wait_duration="00:00:05",
        sip_hangup_disposition="caller",
        hangup_cause="NORMAL_CLEARING",
        failure_status="200",
        failure_phrase="OK",
    ).facts
    assert facts == Facts(
        direction="inbound",
        caller="02123205062",
        called="1001",
        dialed_user="1001",
        connected_user="1005",
        queue="200",
        started_at=datetime(2016, 1, 1, tzinfo=ISTANBUL),
        answered_at=datetime(2016, 1, 1, 0, 0, 8, tzinfo=ISTANBUL),
        ended_at=datetime(2016, 1, 1, 0, 1, 8, tzinfo=ISTANBUL),
        duration=60,
        queue_wait=5,
        hung_up_by="caller",
        cause="NORMAL_CLEARING",
        recording_present=True,
        failure_status="200",
        failure_phrase="OK",
    )


@pytest.mark.parametrize("fields", [{}, {"{}": ""}, {"{}": [""]}])
def test_the_probe_is_no_event(fields: Fields) -> None:
    assert source().read(post(fields)) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"event_type": "ringing"}, "call_uuid is missing"),
        ({"event_type": "ringing", "call_uuid": "  "}, "call_uuid is missing"),
        ({"call_uuid": "1"}, "event_type is missing"),
        ({"call_uuid": "1", "event_type": ["", " "]}, "event_type is missing"),
        ({"x": "1"}, "call_uuid and event_type are missing"),
        ({"{}": "", "x": ""}, "call_uuid and event_type are missing"),
        ({"event_type": "ringing", "call_uuid": "1" * 201}, "call_uuid is longer than 200 characters"),
        ({"event_type": "ringing", "call_uuid": "1\x002"}, "call_uuid contains control characters"),
        ({"event_type": "ringing", "call_uuid": "1\r\n2"}, "call_uuid contains control characters"),
    ],
)
def test_a_form_that_is_no_event_says_exactly_what_is_missing(fields: Fields, message: str) -> None:
    with pytest.raises(Unreadable) as caught:
        source().read(post(fields))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("ringing", "ringing"),
        ("answer", "answered"),
        ("hangup", "hangup"),
        ("user_hangup", "leg_ended"),
        (" HangUp ", "hangup"),
        ("transfer", "other"),
    ],
)
def test_every_event_type_has_a_kind(event_type: str, kind: str) -> None:
    assert read(event_type=event_type).kind == kind


def test_a_repeated_field_counts_with_its_first_value_and_is_kept_whole() -> None:
    reading = read(call_uuid=["", " 77 ", "78"], queue=["200", "201"])
    assert (reading.call_id, reading.facts.queue) == ("77", "200")
    assert reading.raw["call_uuid"] == ["", " 77 ", "78"]


def test_unknown_fields_are_kept() -> None:
    assert read(colour="mavi").raw["colour"] == "mavi"


def test_a_number_is_handed_over_as_it_came() -> None:
    assert read(caller_id_number=" 493089680211").facts.caller == " 493089680211"


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-07-25 09:00:00", "2026-07-25T09:00:00+03:00"),
        (" 2026-07-25T09:00:00 ", "2026-07-25T09:00:00+03:00"),
        ("2026-07-25 09:00:00.5", "2026-07-25T09:00:00.500000+03:00"),
        ("2017-08-03 12:30:32 +0300", "2017-08-03T12:30:32+03:00"),
        ("2017-08-03 12:30:32+03:00", "2017-08-03T12:30:32+03:00"),
        ("2017-08-03 12:30:32  0300", "2017-08-03T12:30:32+03:00"),
        ("2017-08-03 12:30:32 UTC", "2017-08-03T15:30:32+03:00"),
        ("2017-08-03 12:30:32Z", "2017-08-03T15:30:32+03:00"),
        ("2017-08-03 12:30:32 -0100", "2017-08-03T16:30:32+03:00"),
        ("0000-00-00 00:00:00", None),
        ("1970-01-01 02:00:00", None),
        ("1999-12-31 23:59:59", None),
        ("2101-01-01 00:00:00", None),
        ("2026-02-30 00:00:00", None),
        ("2026-07-25 25:00:00", None),
        ("2026-07-25", None),
        ("2026-07-25 09:00:00 +9900", None),
        ("٢٠٢٦-07-25 09:00:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_stamp_is_the_pbxs_local_time(text: str, iso: str | None) -> None:
    started = read(start_stamp=text).facts.started_at
    assert (started and started.isoformat()) == iso


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("65", 65),
        ("00:01:05", 65),
        ("1:00:00", 3600),
        ("744:00:00", 2678400),
        ("-1", None),
        ("1.5", None),
        ("999999999", None),
        ("9" * 400, None),
        ("800:00:00", None),
        ("00:99:00", None),
        ("", None),
        ("a", None),
    ],
)
def test_seconds_are_read_in_both_spellings(text: str, seconds: int | None) -> None:
    facts = read(duration=text, queue_wait_duration=text).facts
    assert (facts.duration, facts.queue_wait) == (seconds, seconds)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "T", "1", "Yes")),
        *((word, False) for word in ("FALSE", "f", "0", "no")),
        *((word, None) for word in ("", "deleted")),
    ],
)
def test_booleans_are_read_in_any_case(text: str, value: bool | None) -> None:
    reading = read(recording_present=text, answered=text)
    assert (reading.facts.recording_present, reading.flag) == (value, value)


def test_what_is_unknown_is_kept_or_left_open() -> None:
    facts = read(direction="sideways", sip_hangup_disposition="send_bye", hangup_cause="New_Cause").facts
    assert (facts.direction, facts.hung_up_by, facts.cause) == (None, "send_bye", "New_Cause")
    facts = read(direction="INBOUND", sip_hangup_disposition="Callee", hangup_cause=" user_busy ").facts
    assert (facts.direction, facts.hung_up_by, facts.cause) == ("inbound", "callee", "USER_BUSY")


@pytest.mark.parametrize(
    ("sent", "connected"),
    [
        ({"connected_user": "1001"}, True),
        ({"connected_user": "1001", "answer_stamp": ""}, True),
        ({"connected_user": "", "answer_stamp": ""}, False),
        ({"connected_user": "", "answer_stamp": "2016-01-01 00:00:05"}, None),
        ({"connected_user": "", "answer_stamp": "0000-00-00 00:00:00"}, None),
        ({"connected_user": ""}, None),
        ({"answer_stamp": ""}, None),
        ({}, None),
    ],
)
def test_a_connected_user_is_evidence_and_so_is_an_empty_answer(sent: dict[str, str], connected: bool | None) -> None:
    assert read(event_type="hangup", **sent).connected is connected


def test_the_flag_is_read_as_the_setting_says() -> None:
    said_true = post({**SAMPLE, "answered": "true"})
    accepted, missed = source().read(said_true), source(answered_means="missed").read(said_true)
    assert accepted is not None
    assert missed is not None
    assert (accepted.flag, missed.flag) == (True, False)
    assert 'set sources.santral.answered_means = "missed"' in (accepted.flag_hint or "")
    assert 'set sources.santral.answered_means = "accepted"' in (missed.flag_hint or "")


@pytest.mark.parametrize("cause", ["LOSE_RACE", "PICKED_OFF", "ATTENDED_TRANSFER", "NORMAL_CLEARING", "USER_BUSY", ""])
def test_a_cause_tells_a_takeover_from_a_normal_end(cause: str) -> None:
    reading = read(event_type="hangup", hangup_cause=cause)
    assert reading.taken_over == (cause in ("LOSE_RACE", "PICKED_OFF", "ATTENDED_TRANSFER"))
    assert reading.cleared == (cause == "NORMAL_CLEARING")


def test_causes_have_words_in_both_languages() -> None:
    assert source().cause_text("ORIGINATOR_CANCEL", "tr") == "Vazgeçildi"
    assert source().cause_text("ORIGINATOR_CANCEL", "en") == "Caller gave up"
    assert source().cause_text("SOMETHING_NEW", "tr") is None
    assert all(set(texts) == {"tr", "en"} and all(texts.values()) for texts in CAUSES.values())


def test_the_settings_are_checked() -> None:
    with pytest.raises(ValidationError):
        Settings(answered_means="perhaps")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Settings(unknown=1)  # type: ignore[call-arg]


def test_the_plugin_offers_its_kind() -> None:
    (kind,) = bridge_sources()
    assert (kind.name, kind.settings) == ("bulutsantralim", Settings)
    assert isinstance(kind.create(Settings(), SourceContext("x", ISTANBUL, "TR")), Bulutsantralim)


names = (
    st.sampled_from([*SAMPLE, "answered", "answer_stamp", "end_stamp", "duration", "hangup_cause", "{}"]) | st.text()
)
texts = st.text() | st.text("0123456789:-+ TZ.", max_size=30)


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(names, texts | st.lists(texts)))
def test_no_form_breaks_the_reading(fields: dict[str, str | list[str]]) -> None:
    for form in (fields, {**fields, "call_uuid": "1", "event_type": "hangup"}):
        with suppress(Unreadable):
            reading = source().read(post(form))
            assert reading is None or reading.raw == form
