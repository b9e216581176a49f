"""Numbers are shown without their middle to those who are to see no more."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from bridge import Contact, Event, Number
from bridge.masking import mask, mask_event, mask_text
from bridge.model import Trouble, TroubleData
from bridge.phone import written_forms
from bridge.redaction import RedactingFormatter, Redactor
from bridge.testing import sample_event

MOBILE = Number(raw="905321234567", e164="+905321234567", display="0532 123 45 67", kind="external")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("0532 123 45 67", "0532 *** ** 67"),
        ("(0212) 320 50 62", "(0212) *** ** 62"),
        ("+905321234567", "+90532*****67"),
        ("+44 20 7946 0958", "+44 20 7*** **58"),
        ("3205062", "*****62"),
        ("1001", "1001"),
        ("112", "112"),
        ("", ""),
        ("Gizli numara", "Gizli numara"),
    ],
)
def test_the_five_digits_before_the_last_two_are_hidden(number: str, shown: str) -> None:
    assert mask(number) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("call of 05321234567 failed", "call of 0532*****67 failed"),
        ("+90 532 123 45 67, then (0212) 320 50 62.", "+90 532 *** ** 67, then (0212) *** ** 62."),
        ("905321234567", "90532*****67"),
        ("tel:+905321234567, Numara:05321234567.", "tel:+90532*****67, Numara:0532*****67."),
        ("/event?caller=%2B905321234567", "/event?caller=%2B90532*****67"),
        ("0532\u00a0123\u00a045\u00a067'yi aradı", "0532\u00a0***\u00a0**\u00a067'yi aradı"),
        (
            "2026-11-24 08:18:17,123 WARNING took 0.123456789012 s",
            "2026-11-24 08:18:17,123 WARNING took 0.123456789012 s",
        ),
        ("evt_01938475610293847561 of extension 1001", "evt_01938475610293847561 of extension 1001"),
        ("127.0.0.1:8080 and 192.168.100.200", "127.0.0.1:8080 and 192.168.100.200"),
    ],
)
def test_numbers_in_a_text_are_masked_and_dates_and_ids_are_not(text: str, shown: str) -> None:
    assert mask_text(text) == shown


def digits(value: object) -> str:
    return "".join(letter for letter in str(value) if letter.isdigit())


def event(**call: Any) -> Event:
    sample = sample_event(caller=MOBILE, **call)
    raw = {
        "caller_id_number": "905321234567",
        "caller_id_name": "Ayşe (0532 123 45 67)",
        "numbers": ["+90 (532) 1234567", "1001"],
        "call_uuid": "1234",
        "start_stamp": "2016-01-01 00:00:00",
        "date": "2016-01-01",
        "forwarded_to": "05339876543",
    }
    contact = Contact(name="Ayşe", note="ask for 532 123 45 67, cep 0533 987 65 43", id="7")
    return sample.model_copy(update={"data": sample.data.model_copy(update={"raw": raw, "contact": contact})})


def test_a_masked_event_holds_no_whole_number_anywhere() -> None:
    masked = mask_event(event(dialed_user="05339876543", rang=("1001", "05339876543")))
    text = masked.to_json()
    assert Event.from_json(text) == masked
    for whole in ("+905321234567", "+905339876543"):
        assert not written_forms(whole).search(text)
    assert masked.call is not None
    assert masked.call.caller == Number(raw="90532*****67", e164=None, display="0532 *** ** 67", kind="external")
    assert masked.call.rang == ("1001", "0533*****43")
    assert masked.data.contact == Contact(name="Ayşe", note="ask for 532 *** ** 67, cep 0533 *** ** 43", id="7")
    assert masked.data.raw == {  # type: ignore[union-attr]  # of a call
        "caller_id_number": "90532*****67",
        "caller_id_name": "Ayşe (0532 *** ** 67)",
        "numbers": ["+90 (532) *****67", "1001"],
        "call_uuid": "1234",
        "start_stamp": "2016-01-01 00:00:00",
        "date": "2016-01-01",
        "forwarded_to": "0533*****43",
    }


def test_what_is_no_outside_number_stays() -> None:
    masked = mask_event(event()).call
    assert masked is not None
    assert (masked.called, masked.dialed_user, masked.queue) == (sample_event().call.called, "1001", "200")  # type: ignore[union-attr]


def test_an_id_that_looks_like_a_number_stays() -> None:
    sample = event(id="05321112233")
    raw = {"call_uuid": "05321112233", "other": "05321112233 x"}
    sample = sample.model_copy(update={"data": sample.data.model_copy(update={"raw": raw})})
    masked = mask_event(sample)
    assert masked.call is not None
    assert masked.call.id == masked.data.raw["call_uuid"] == "05321112233"  # type: ignore[union-attr]


def test_a_trouble_is_masked_too() -> None:
    at = sample_event().timestamp
    trouble = Trouble(connector="crm", reason="no customer 05321234567")
    masked = mask_event(
        Event(id="evt_1", type="bridge.delivery_dead", timestamp=at, data=TroubleData(received_at=at, trouble=trouble))
    )
    assert masked.data.trouble.reason == "no customer 0532*****67"  # type: ignore[union-attr]


def test_a_log_is_masked_in_message_and_traceback() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter(Redactor(), logging.Formatter("%(asctime)s %(message)s"), mask_text))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise RuntimeError("no customer with 0532 123 45 67")
    except RuntimeError:
        log.exception("call of %s", "+905321234567")
    assert "call of +90532*****67" in stream.getvalue()
    assert "customer with 0532 *** ** 67" in stream.getvalue()


# --- a number in every spelling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "+902123205062",
        "00902123205062",
        "902123205062",
        "02123205062",
        "2123205062",
        "(0212) 320 50 62",
        "+90 (0) 212 320 50 62",
        "+90\u00a0212\u00a0320\u00a050\u00a062",
        "0212-320-50-62",
        "0212.320.50.62",
        "0212 / 320 50 62",
        "tel:+90-212-320-50-62;ext=1",
        "\u202a+90 212 320 50 62\u202c",
        "from 02123205062 to 1001",
        "sip:902123205062@pbx",
    ],
)
def test_a_number_is_found_in_every_spelling(spelling: str) -> None:
    assert written_forms("+902123205062").search(spelling)


@pytest.mark.parametrize("other", ["021232050621", "12123205062", "2123205063", "212320506", "21232050621", "3205062"])
def test_another_number_is_not_taken_for_it(other: str) -> None:
    assert not written_forms("+902123205062").search(other)
