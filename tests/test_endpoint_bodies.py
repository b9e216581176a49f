"""What a body may look like: nothing of a call is lost, whatever the sender did to it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from bridge import Facts, Reading
from bridge.intake import LARGEST_BODY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Desk, Office

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

PROBES = [
    (b"{}", FORM),
    (b"{}", JSON),
    (b"{}", None),
    (b"{}", "text/plain"),
    (b"{}\r\n", FORM),
    (b"{ }", JSON),
    (b"", FORM),
    (b"", JSON),
    (b"", None),
    (b"\n", None),
    (b"{}", "multipart/form-data"),
    (b"--x--\r\n", "multipart/form-data; boundary=x"),
]

UNUSABLE = [
    ("event_type=ringing", "call_uuid is missing"),
    ("call_uuid=1", "event_type is missing"),
    ("call_uuid=&event_type=+", "call_uuid and event_type are missing"),
    ("domain_id=101", "call_uuid and event_type are missing"),
    ("{}=1", "call_uuid and event_type are missing"),
    ("just words", "call_uuid and event_type are missing"),
    (f"event_type=ringing&call_uuid={'x' * 201}", "call_uuid is longer than 200 characters"),
    ("event_type=ringing&call_uuid=a%0Ab", "call_uuid contains control characters"),
]

BROKEN = {
    "start_stamp": [
        "0000-00-00 00:00:00",
        "2026-02-30 10:00:00",
        "9999-99-99",
        "yesterday",
        "1e99",
        "",
        "٢٠٢٦-٠١-٠١ ٠٠:٠٠:٠٠",
    ],
    "queue_wait_duration": ["-1", "1e9", "9" * 40, "x", "NaN", "25:61:61", "٣"],
    "recording_present": ["maybe", "", "2"],
    "direction": ["sideways", ""],
}
FACT = {"start_stamp": "started_at", "queue_wait_duration": "queue_wait_seconds"}


def headers(content_type: str | None) -> dict[str, str]:
    return {"Content-Type": content_type} if content_type else {}


@pytest.mark.parametrize(("body", "content_type"), PROBES)
def test_a_probe_is_answered_ok_and_nothing_is_stored(office: Office, body: bytes, content_type: str | None) -> None:
    answer = office.post(body, headers=headers(content_type))
    assert (answer.status_code, answer.text) == (200, "ok")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert office.post(body, "/event/wrong", headers=headers(content_type)).status_code == 401


def test_probes_leave_no_trace(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    for body, content_type in PROBES:
        assert desk.post(body, headers=headers(content_type)).text == "ok"
    assert desk.events() == []
    assert desk.metric("callbridge_posts_total", source="bulutsantralim", result="probe") == len(PROBES)


def test_the_specifications_sample_is_answered_1234_raw_as_it_is(office: Office) -> None:
    sample = (
        "event_type=ringing&domain_id=101&direction=inbound&caller_id_number=02123205062&outbound_caller_id_number="
        "&destination_number=1001&dialed_user=1001&call_uuid=1234&start_stamp=2016-01-01 00:00:00"
    )
    for target in ("/event/", "http://musteri.adresi.com.tr/event/"):
        answer = exchange(
            office,
            f"POST {target}?token={office.token} HTTP/1.1\r\nHost: musteri.adresi.com.tr\r\nAccept: */*\r\n"
            f"Content-Length: {len(sample)}\r\n\r\n{sample}".encode(),
        )
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\ncontent-type: text/plain; charset=utf-8\r\n" in answer
        assert answer.endswith(b"\r\n\r\n1234")
    # A simulated morning has a call of this id, too.
    event = office.kept("1234")[-1]
    assert event["data"]["call"]["started_at"] == "2016-01-01T00:00:00+02:00"
    assert event["data"]["raw"]["start_stamp"] == "2016-01-01 00:00:00"
    assert event["data"]["raw"]["outbound_caller_id_number"] == ""


@pytest.mark.parametrize("stamp", ["2026-07-01 09:30:00", "2026-07-01+09:30:00", "2026-07-01%2009%3A30%3A00"])
@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=UTF-8", "text/plain", None])
def test_spaces_come_raw_as_a_plus_or_encoded(office: Office, stamp: str, content_type: str | None) -> None:
    call_id = office.new_id()
    body = f"event_type=ringing&call_uuid={call_id}&start_stamp={stamp}&note=g%C3%BCnayd%C4%B1n".encode()
    assert office.post(body, headers=headers(content_type)).text == call_id
    (event,) = office.heard(call_id)
    assert event["data"]["call"]["started_at"] == "2026-07-01T09:30:00+03:00"
    assert event["data"]["raw"] == {
        "event_type": "ringing", "call_uuid": call_id, "start_stamp": "2026-07-01 09:30:00", "note": "günaydın",
    }  # fmt: skip


def test_raw_utf_8_is_read_and_what_is_none_is_written_out(office: Office) -> None:
    call_id = office.new_id()
    body = f"event_type=ringing&call_uuid={call_id}&note=Şişli&caller_id_number=".encode() + b"\xff\xfe&%ff=%c3%28"
    assert office.post(body).text == call_id
    (event,) = office.heard(call_id)
    raw = event["data"]["raw"]
    assert (raw["note"], raw["caller_id_number"], raw["\\xff"]) == ("Şişli", "\\xff\\xfe", "\\xc3(")
    assert event["data"]["call"]["caller"]["raw"] == "\\xff\\xfe"


def test_a_call_id_that_is_no_utf_8_is_answered_as_it_is_kept(office: Office) -> None:
    answer = office.post(b"event_type=ringing&call_uuid=odd-%ff")
    assert (answer.status_code, answer.text) == (200, "odd-\\xff")
    assert office.types("odd-\\xff") == ["call.ringing"]


def test_a_repeated_field_is_a_list_in_raw_and_the_first_that_says_something_counts(office: Office) -> None:
    call_id = office.new_id()
    body = f"event_type=ringing&call_uuid={call_id}&queue=&queue=200&queue=300&dialed_user=1001&dialed_user=1002"
    assert office.post(body.encode()).text == call_id
    (event,) = office.heard(call_id)
    assert event["data"]["raw"]["queue"] == ["", "200", "300"]
    assert event["data"]["raw"]["dialed_user"] == ["1001", "1002"]
    assert (event["data"]["call"]["queue"], event["data"]["call"]["dialed_user"]) == ("200", "1001")


@pytest.mark.parametrize(("field", "text"), [(field, text) for field, texts in BROKEN.items() for text in texts])
def test_a_value_that_cannot_be_read_is_null_with_its_text_beside_it(office: Office, field: str, text: str) -> None:
    event = office.hear(office.missed, **{field: text})
    assert event["data"]["call"][FACT.get(field, field)] is None
    assert event["data"]["raw"][field] == text
    assert event["data"]["call"]["cause"] == "ORIGINATOR_CANCEL"
    assert event["type"] == ("call.unanswered" if field == "direction" else "call.missed")


def test_unknown_fields_and_event_types_are_kept(office: Office) -> None:
    event = office.hear(office.call, event_type="voicemail_left", mailbox="7", **{"Ünknown field": "x y"})
    assert event["type"] == "other"
    assert event["data"]["raw"]["event_type"] == "voicemail_left"
    assert event["data"]["raw"]["mailbox"] == "7"
    assert event["data"]["raw"]["Ünknown field"] == "x y"
    assert event["data"]["call"]["state"] == "ringing"


def test_a_multipart_form_is_a_form(office: Office) -> None:
    call_id = office.new_id()
    files = {name: (None, text) for name, text in {**office.missed, "call_uuid": call_id, "note": "ığ"}.items()}
    assert office.bridge.post(office.path, None, files=files).text == call_id
    (event,) = office.heard(call_id)
    assert event["type"] == "call.missed"
    assert event["data"]["raw"] == {**office.missed, "call_uuid": call_id, "note": "ığ"}


def test_a_json_object_is_a_form(office: Office) -> None:
    call_id = office.new_id()
    body = json.dumps({**office.missed, "call_uuid": call_id, "answered": False, "extra": {"a": [1]}, "queue": None})
    assert office.post(body.encode(), headers=headers(JSON)).text == call_id
    (event,) = office.heard(call_id)
    assert event["type"] == "call.missed"
    raw = event["data"]["raw"]
    assert (raw["answered"], raw["extra"], raw["queue"]) == ("false", '{"a": [1]}', "")


@pytest.mark.parametrize(("body", "missing"), UNUSABLE)
def test_a_form_that_names_no_call_is_refused_in_one_line_and_kept_aside(
    office: Office, body: str, missing: str
) -> None:
    marked = f"{body}&mark={office.new_id()}"
    answer = office.post(marked.encode())
    assert (answer.status_code, answer.text) == (400, missing)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    row = office.rows("quarantine", "--limit", "1")[0]
    assert set(row) == {"received_at", "reason", "raw"}
    assert (row["reason"], row["raw"]["mark"]) == (missing, marked.rpartition("=")[2])


def test_a_source_that_breaks_loses_no_post(open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    desk = open_desk()
    source = desk.bridge.plugins.sources["bulutsantralim"].source

    def broken(post: Any) -> Any:
        raise RuntimeError("a fault of the plugin")

    def odd(post: Any) -> Any:
        return Reading(kind="ringing", call_id="1", tenant=None, facts=Facts(direction="up"), raw=post.fields)  # type: ignore[arg-type]

    for fault in (broken, odd):
        desk.now += 1
        monkeypatch.setattr(source, "read", fault)
        answer = desk.post({"call_uuid": "1", "event_type": "ringing"})
        assert (answer.status_code, answer.text) == (500, "the post could not be read; it is kept in the quarantine")
    assert desk.events() == []
    rows = desk.quarantine()
    assert [row["raw"] for row in rows] == [{"call_uuid": "1", "event_type": "ringing"}] * 2
    assert rows[0]["reason"] == "the source plugin failed: RuntimeError: a fault of the plugin"


# --- sizes --------------------------------------------------------------------------------------------------------


def test_64_kib_are_taken(office: Office) -> None:
    call_id = office.new_id()
    assert office.post(padded(call_id, LARGEST_BODY)).text == call_id
    assert office.types(call_id) == ["call.ringing"]


def test_64_kib_are_taken_in_chunks_too(office: Office) -> None:
    call_id = office.new_id()
    assert exchange(office, chunked(office, padded(call_id, LARGEST_BODY))).endswith(call_id.encode())


def test_a_larger_body_is_refused(office: Office) -> None:
    call_id = office.new_id()
    answer = office.post(padded(call_id, LARGEST_BODY + 1))
    assert (answer.status_code, answer.text) == (413, "the body is larger than 64 KiB")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert office.types(call_id) == []


def test_a_larger_body_is_refused_before_it_is_sent(office: Office) -> None:
    head = f"POST {office.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n\r\n"
    assert exchange(office, head.encode() + b"event_type=").startswith(b"HTTP/1.1 413 ")


def test_a_larger_body_without_a_length_is_refused_and_not_cut(office: Office) -> None:
    call_id = office.new_id()
    answer = exchange(office, chunked(office, padded(call_id, LARGEST_BODY + 1)))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"the body is larger than 64 KiB")
    assert office.types(call_id) == []


def test_a_sender_that_asks_first_is_told_to_go_on(office: Office) -> None:
    head = f"POST {office.path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", office.bridge.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def padded(call_id: str, size: int) -> bytes:
    form = f"event_type=ringing&call_uuid={call_id}&padding=".encode()
    return form + b"x" * (size - len(form))


def chunked(office: Office, body: bytes) -> bytes:
    head = f"POST {office.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    halves = (body[:1000], body[1000:])
    return head + b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves) + b"0\r\n\r\n"


def exchange(office: Office, request: bytes) -> bytes:
    """Send bytes and read one answer."""
    with socket.create_connection(("127.0.0.1", office.bridge.port), timeout=10) as connection:
        connection.sendall(request)
        answer = connection.makefile("rb")
        head = b"".join(iter(answer.readline, b"\r\n")) + b"\r\n"
        length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        body = answer.read(int(length.partition(b":")[2]))
        answer.close()
        return head + body
