"""What an answer means: texts, JSON, how much of it is kept, and the failures statuses stand for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from bridge import (
    DeliveryFailure,
    HttpClient,
    HttpResponse,
    Misconfigured,
    PermanentFailure,
    TargetGone,
    TemporaryFailure,
)
from bridge.testing import Answer, recording_sink

URL = "https://chat.example/hooks/s3cret"


def failure_of(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> DeliveryFailure:
    with pytest.raises(DeliveryFailure) as caught:
        HttpResponse(status, headers or {}, body).raise_for_failure()
    return caught.value


def retry_after(value: str, **headers: str) -> float | None:
    failure = failure_of(429, {"Retry-After": value, **headers})
    assert isinstance(failure, TemporaryFailure)
    return failure.retry_after


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_is_no_failure(status: int) -> None:
    HttpResponse(status, {}, b"").raise_for_failure()


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (TemporaryFailure, [408, 425, 429, 500, 502, 503, 504, 599, 999]),
        (Misconfigured, [401, 403]),
        (TargetGone, [410]),
        (PermanentFailure, [101, 300, 301, 302, 304, 307, 308, 400, 404, 405, 409, 413, 422, 451]),
    ],
)
def test_a_status_says_which_failure_it_is(kind: type[DeliveryFailure], statuses: list[int]) -> None:
    assert {type(failure_of(status)) for status in statuses} == {kind}


def test_a_failure_says_what_the_server_answered() -> None:
    failure = failure_of(503, body=b"x" * 501)
    assert str(failure) == "the server answered 503 Service Unavailable"
    assert failure.status == 503
    assert set(failure.answer or "") == {"x"}  # whole: the core cuts it, after it has taken out the secrets
    assert str(failure_of(599)) == "the server answered 599"


def test_a_redirect_is_a_failure_that_says_what_to_do() -> None:
    assert "enter the final address" in str(failure_of(301, {"Location": "https://elsewhere.example/"}))


def test_retry_after_is_read_as_seconds() -> None:
    assert retry_after("120") == 120
    assert retry_after(" 1.5 ") == 1.5
    assert retry_after("0") == 0


def test_retry_after_as_a_date_counts_from_the_servers_own_clock() -> None:
    assert retry_after("Fri, 01 Jan 2016 00:02:00 GMT", Date="Fri, 01 Jan 2016 00:00:30 GMT") == 90


def test_retry_after_as_a_date_counts_from_now_without_a_server_clock() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    for seconds in (retry_after(soon), retry_after(soon, Date="yesterday")):
        assert seconds is not None
        assert 590 < seconds <= 600


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-5",
        "soon",
        "nan",
        "inf",
        "1e999",
        "9" * 400,
        "Fri, 01 Jan 2016 00:00:00 GMT",
        "Fri, 99 Jan 2016 00:00:00 GMT",
    ],
)
def test_a_retry_after_that_makes_no_sense_is_not_believed(value: str) -> None:
    assert retry_after(value) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_retry_after_breaks_the_reading(value: str, date: str) -> None:
    seconds = retry_after(value, Date=date)
    assert seconds is None or 0 <= seconds < float("inf")


def test_headers_are_found_in_any_case() -> None:
    response = HttpResponse(200, {"X-Id": "7"}, b"")
    assert response.headers["x-id"] == response.headers.get("X-ID") == "7"


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain", "çağrı".encode(), "çağrı"),
        ("text/plain; charset=iso-8859-9", "çağrı".encode("iso-8859-9"), "çağrı"),
        ('text/html; charset="UTF-8"', "ş".encode(), "ş"),
        ("text/plain; charset=klingon", "ş".encode(), "ş"),
        ("text/plain; charset=hex", b"00", "00"),
        ("", b"\xff!", "\ufffd!"),
    ],
)
def test_text_is_decoded_by_the_charset_or_as_utf_8(content_type: str, body: bytes, text: str) -> None:
    assert HttpResponse(200, {"Content-Type": content_type}, body).text == text


def test_json_is_read() -> None:
    assert HttpResponse(200, {}, '{"ok": "ş"}'.encode()).json() == {"ok": "ş"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 65536])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # its words are the parser's
        HttpResponse(200, {}, body).json()


@responses.activate
def test_the_client_works_under_the_responses_library() -> None:
    sent = responses.post(URL, json={"ok": True}, status=201, headers={"X-Id": "7"})
    with HttpClient(timeout=5) as client:
        response = client.request("POST", URL, json={"text": "ş"}, headers={"X-Mine": "1"})
    assert (response.status, response.json(), response.headers["x-id"]) == (201, {"ok": True}, "7")
    request = sent.calls[0].request
    assert (request.body, request.headers["X-Mine"]) == ('{"text":"ş"}'.encode(), "1")


@responses.activate
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (requests.ReadTimeout(URL), "chat.example timed out after 5 s"),
        (requests.ConnectionError(URL), "chat.example gave no answer"),
        (requests.exceptions.InvalidHeader(URL), "chat.example gave no answer that is readable HTTP"),
        (requests.exceptions.ChunkedEncodingError(URL), "chat.example gave no answer that is readable HTTP"),
    ],
)
def test_faults_simulated_by_the_responses_library_are_temporary_and_not_repeated(fault: Exception, said: str) -> None:
    sent = responses.post(URL, body=fault)
    with HttpClient(timeout=5) as client, pytest.raises(TemporaryFailure) as caught:
        client.request("POST", URL)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert sent.call_count == 1


@pytest.mark.parametrize(("limit", "kept"), [(10, 10), (300_000, 300_000), (1_000_000, 300_000)])
def test_who_asks_for_more_or_less_of_an_answer_gets_it(limit: int, kept: int) -> None:
    with recording_sink() as sink, HttpClient(timeout=5) as client:
        sink.answer_with(Answer(200, b"x" * 300_000))
        assert len(client.request("GET", sink.url, limit=limit).body) == kept
        assert len(client.request("GET", sink.url).body) == 64 * 1024
