"""Who has a number, by the answers of a CRM: what is asked, what is believed, and what is a failure."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from callbridge_rest.directory import RestDirectory

from bridge import Contact, DeliveryFailure, HttpClient, Misconfigured, PermanentFailure, TemporaryFailure
from bridge.testing import Answer, RecordingSink

Make = Callable[..., RestDirectory]
LookUp = Callable[..., list[Contact]]

AYSE = {"id": 7, "name": "Ayşe Yılmaz", "company": "Örnek A.Ş.", "note": "VIP", "phone": "0 (212) 320 50 62"}


def answer(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode())


def test_a_contact_is_read_from_the_answer(crm: RecordingSink, directory: Make, look_up: LookUp) -> None:
    crm.answer_with(answer({"results": [AYSE]}))
    found = look_up(directory(url=f"{crm.url}/find?phone={{e164}}", items="results", headers={"X-Key": "s3cret"}))

    assert found == [Contact(name="Ayşe Yılmaz", company="Örnek A.Ş.", id="7", note="VIP")]
    [arrival] = crm.arrivals
    assert (arrival.method, arrival.path, arrival.headers["X-Key"]) == ("GET", "/find?phone=%2B902123205062", "s3cret")


@pytest.mark.parametrize(
    ("number", "raw", "written"),
    [
        ("+902123205062", "902123205062", ["+902123205062", "902123205062", "02123205062", "2123205062"]),
        ("+12125550123", "0012125550123", ["+12125550123", "12125550123", "2125550123", "2125550123"]),
        ("+390612345678", "+390612345678", ["+390612345678", "390612345678", "0612345678", "0612345678"]),
    ],
)
def test_a_number_can_be_asked_for_in_every_way_it_is_written(
    crm: RecordingSink, directory: Make, look_up: LookUp, number: str, raw: str, written: list[str]
) -> None:
    crm.answer_with(answer([]))
    names = ["e164", "digits", "national", "nsn", "raw"]
    query = "&".join(f"{name}={{{name}}}" for name in names)
    look_up(directory(url=f"{crm.url}/?{query}"), number, raw)

    assert dict(parse_qsl(crm.arrivals[0].path.partition("?")[2])) == dict(zip(names, [*written, raw], strict=True))


@pytest.mark.parametrize(
    "phone",
    ["+90 212 320 50 62", "00902123205062", "902123205062", "0212 3205062 dahili 12", 902123205062, 2123205062.0],
)
def test_an_answer_is_believed_by_its_own_number_however_it_is_written(
    crm: RecordingSink, directory: Make, look_up: LookUp, phone: object
) -> None:
    crm.answer_with(answer([AYSE | {"phone": "0532 000 00 00", "mobile": [None, phone]}]))
    assert [one.name for one in look_up(directory(url=f"{crm.url}/{{nsn}}"))] == ["Ayşe Yılmaz"]


@pytest.mark.parametrize("phone", ["3205062", "23205062", "+4912123205062", "05321234567", "", None, True, []])
def test_an_answer_with_another_number_or_only_an_end_of_it_is_not_believed(
    crm: RecordingSink, directory: Make, look_up: LookUp, phone: object
) -> None:
    crm.answer_with(answer([AYSE | {"phone": phone}]))
    assert look_up(directory(url=f"{crm.url}/{{nsn}}")) == []


def test_without_phone_the_crm_is_believed(crm: RecordingSink, directory: Make, look_up: LookUp) -> None:
    crm.answer_with(answer({"id": "x", "name": "Ayşe"}))
    assert look_up(directory(url=f"{crm.url}/{{e164}}", fields={"name": "name"})) == [Contact(name="Ayşe")]


def test_everybody_with_the_number_is_found(crm: RecordingSink, directory: Make, look_up: LookUp) -> None:
    crm.answer_with(answer([AYSE, {"name": "Somebody", "phone": "0212"}, AYSE | {"name": "Fatma", "id": "8"}]))
    assert [one.name for one in look_up(directory(url=f"{crm.url}/{{e164}}"))] == ["Ayşe Yılmaz", "Fatma"]


@pytest.mark.parametrize(
    ("item", "name", "company"),
    [
        ({"first": " Ayşe ", "last": None, "firm": "Örnek"}, "Ayşe", "Örnek"),
        ({"first": None, "last": "", "firm": "Örnek"}, "Örnek", None),
        ({"first": ["Ayşe", "Nur"], "last": "Yılmaz\r\n\x00"}, "Ayşe Nur Yılmaz", None),
        ({"first": 42, "last": 1.5, "firm": False}, "42 1.5", None),
        ({"first": "\ud800Ayşe", "last": "x" * 5000}, "?Ayşe " + "x" * 1000, None),
    ],
)
def test_whatever_is_found_becomes_text(
    crm: RecordingSink, directory: Make, look_up: LookUp, item: dict[str, Any], name: str, company: str | None
) -> None:
    crm.answer_with(answer([item]))
    fields = {"name": ["first", "last"], "company": "firm"}
    assert look_up(directory(url=f"{crm.url}/{{e164}}", fields=fields)) == [Contact(name=name, company=company)]


def test_a_field_that_does_not_fit_is_empty_and_told_once(
    crm: RecordingSink, directory: Make, look_up: LookUp, caplog: pytest.LogCaptureFixture
) -> None:
    crm.answer_with(answer([{"name": "Ayşe", "company": {"name": "Örnek"}, "id": None}]))
    asked = directory(
        url=f"{crm.url}/{{e164}}", fields={"name": "name", "company": "company", "note": "join(' ', [name, id])"}
    )
    with caplog.at_level(logging.WARNING):
        assert [look_up(asked) for _ in range(2)] == [[Contact(name="Ayşe")]] * 2

    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "`fields.company` finds an object",
        "`fields.note` does not fit the answer",
    ]


@pytest.mark.parametrize(
    ("said", "items"),
    [
        (Answer(404, b"<h1>not here"), "@"),
        (Answer(204, b""), "@"),
        (Answer(200, b" "), "@"),
        (answer({"results": []}), "results"),
        (answer({"results": None}), "results"),
        (answer({"other": 1}), "results"),
        (answer({}), "@"),
        (answer([{"name": "", "phone": "02123205062"}]), "@"),
        (answer(["text", 5, None, ["x"]]), "@"),
    ],
)
def test_nobody_is_known(crm: RecordingSink, directory: Make, look_up: LookUp, said: Answer, items: str) -> None:
    crm.answer_with(said)
    assert look_up(directory(url=f"{crm.url}/{{e164}}", items=items)) == []


def test_another_status_can_mean_nobody(crm: RecordingSink, directory: Make, look_up: LookUp) -> None:
    crm.answer_with(Answer(422))
    assert look_up(directory(url=f"{crm.url}/{{e164}}", not_found=[422])) == []
    crm.answer_with(Answer(404))
    with pytest.raises(PermanentFailure):
        look_up(directory(url=f"{crm.url}/{{e164}}", not_found=[422]))


@pytest.mark.parametrize(
    ("said", "failure", "message"),
    [
        (Answer(401), Misconfigured, "credentials"),
        (Answer(403), Misconfigured, "credentials"),
        (Answer(429), TemporaryFailure, "429"),
        (Answer(503), TemporaryFailure, "503"),
        (Answer(302, headers={"Location": "/x"}), PermanentFailure, "redirects"),
        (Answer(200, b"<html>log in</html>"), PermanentFailure, "not JSON"),
        (Answer(200, b"[" * 100_000), PermanentFailure, "not JSON"),
        (Answer(200, b'"' + b"x" * 1024 * 1024 + b'"'), PermanentFailure, "larger than 1024 KiB"),
        (answer("a text"), PermanentFailure, "`items` finds neither"),
    ],
)
def test_no_usable_answer_is_a_failure_and_not_nobody(
    crm: RecordingSink, directory: Make, look_up: LookUp, said: Answer, failure: type[DeliveryFailure], message: str
) -> None:
    crm.answer_with(said)
    with pytest.raises(failure, match=message) as raised:
        look_up(directory(url=f"{crm.url}/s3cret-token/{{e164}}"))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("items", ["sort(results)", "join(results)", "ceil(huge)"])
def test_items_that_do_not_fit_are_a_failure(items: str, crm: RecordingSink, directory: Make, look_up: LookUp) -> None:
    crm.answer_with(Answer(200, b'{"results": 5, "huge": 1e999}'))
    with pytest.raises(PermanentFailure, match=r"`items` does not fit the answer: .+"):
        look_up(directory(url=f"{crm.url}/{{e164}}", items=items))


def test_a_body_is_sent_with_the_number_in_it(crm: RecordingSink, directory: Make, look_up: LookUp) -> None:
    crm.answer_with(answer([AYSE]))
    body = {"filter": [{"value": "*{{ nsn }}"}], "key": "{{ api_key }}", "limit": 5, "deep": {"none": "{{ none }}"}}
    look_up(directory(url=crm.url, body=body, secrets={"api_key": "s3cret"}))

    [arrival] = crm.arrivals
    assert arrival.method == "POST"
    assert arrival.headers["Content-Type"] == "application/json"
    assert arrival.json() == {
        "filter": [{"value": "*2123205062"}],
        "key": "s3cret",
        "limit": 5,
        "deep": {"none": None},
    }


def test_a_body_can_be_a_form(crm: RecordingSink, directory: Make, look_up: LookUp) -> None:
    crm.answer_with(answer([]))
    body = {"phone": "{{ e164 }}", "limit": 5, "exact": True, "page": "{{ none }}", "list": "{{ [1, 'ş'] }}"}
    look_up(directory(url=crm.url, body=body, format="form"))

    fields = {"phone": "+902123205062", "limit": "5", "exact": "true", "list": '[1, "ş"]'}
    assert dict(parse_qsl(crm.arrivals[0].body.decode())) == fields


def test_a_crm_that_hangs_is_given_up_in_time(crm: RecordingSink, look_up: LookUp, directory: Make) -> None:
    crm.answer_with(Answer(delay=1.0))
    asked = directory(url=f"{crm.url}/{{e164}}")
    with HttpClient(timeout=0.2) as impatient:
        asked._request._http = impatient
        with pytest.raises(TemporaryFailure, match=r"timed out after 0\.2 s"):
            look_up(asked)


def test_a_check_gets_the_check_url_with_the_headers(crm: RecordingSink, directory: Make) -> None:
    asked = directory(
        url=f"{crm.url}/{{e164}}",
        check_url=f"{crm.url}/me?key={{api_key}}",
        headers={"X-Key": "{api_key}", "X-Phone": "{e164}"},
        secrets={"api_key": "a b"},
    )
    assert asked.bridge_check() == f"127.0.0.1:{crm.port}: the credentials work (HTTP 200)"
    [arrival] = crm.arrivals
    assert (arrival.path, arrival.headers["X-Key"]) == ("/me?key=a%20b", "a b")
    assert "X-Phone" not in arrival.headers

    crm.answer_with(Answer(401))
    with pytest.raises(Misconfigured):
        asked.bridge_check()


def test_without_a_check_url_a_check_searches(crm: RecordingSink, directory: Make) -> None:
    crm.answer_with(answer([]))
    asked = directory(url=f"{crm.url}/find/{{e164}}")
    assert asked.bridge_check() == f"127.0.0.1:{crm.port}: a search is answered (HTTP 200)"
    assert crm.arrivals[0].path.startswith("/find/%2B90")

    crm.answer_with(Answer(200, b"<html>"))
    with pytest.raises(PermanentFailure, match="not JSON"):
        asked.bridge_check()
