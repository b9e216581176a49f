"""Reading the body of a post into fields."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.forms import digest, read_fields

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=x"


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=utf-8", "", "text/plain", "nonsense;;;=", JSON])
def test_a_body_is_an_urlencoded_form_unless_it_is_what_its_type_says(content_type: str) -> None:
    body = b"a=1+2&b=%C4%9F&c=raw space&d&=&a=\xff"
    assert read_fields(body, content_type) == {
        "a": ["1 2", "\\xff"],
        "b": "ğ",
        "c": "raw space",
        "d": "",
        "": "",
    }


@pytest.mark.parametrize("body", ["{", "[]", "null", '"text"', "7", "[" * 100_000, '{"a": ' * 50_000])
def test_json_that_is_no_object_is_kept_as_it_came(body: str) -> None:
    assert "".join(read_fields(body.encode(), JSON)) == body


def test_the_top_level_of_a_json_object_is_read_as_text() -> None:
    members = {"text": "ğ", "none": None, "yes": True, "number": 1.5, "list": [1, "a"], "table": {"a": None}}
    fields = read_fields(json.dumps(members).encode(), "application/vnd.pbx+json; charset=utf-8")
    assert fields == {
        "text": "ğ", "none": "", "yes": "true", "number": "1.5", "list": '[1, "a"]', "table": '{"a": null}',
    }  # fmt: skip


def test_a_lone_surrogate_becomes_text_that_can_be_stored() -> None:
    (value,) = read_fields(b'{"a": "\\ud800"}', JSON).values()
    assert value == "\\ud800"


def test_a_multipart_form_is_read_with_its_repeated_fields_and_files() -> None:
    part = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    named = [("a", "", "1"), ("a", "", "2"), ("note", "", "ğ"), ("record", '; filename="a.txt"', "of a file")]
    body = "".join(part.format(*one) for one in named) + "--x--\r\n"
    assert read_fields(body.encode(), MULTIPART) == {"a": ["1", "2"], "note": "ğ", "record": "of a file"}


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", MULTIPART])
def test_a_broken_multipart_form_is_read_as_an_urlencoded_one(content_type: str) -> None:
    assert read_fields(b"call_uuid=1&event_type=ringing", content_type) == {"call_uuid": "1", "event_type": "ringing"}


@given(st.binary(max_size=200), st.sampled_from([FORM, JSON, MULTIPART, ""]) | st.text(max_size=30))
def test_whatever_is_posted_can_be_read_and_stored(body: bytes, content_type: str) -> None:
    fields = read_fields(body, content_type)
    assert json.dumps(fields).encode()
    assert all(value.encode() is not None for values in fields.values() for value in values)
    assert len(digest(fields, body)) == 16


def test_the_same_form_is_known_in_whatever_order_its_fields_came() -> None:
    one, other = read_fields(b"a=1&b=2", FORM), read_fields(b"b=2&a=1", FORM)
    assert digest(one, b"a=1&b=2") == digest(other, b"b=2&a=1")
    assert digest(one, b"") != digest(read_fields(b"a=1&b=3", FORM), b"")
    assert digest(read_fields(b"a=1&a=2", FORM), b"") != digest(read_fields(b"a=2&a=1", FORM), b"")
    assert digest({}, b"some bytes") != digest({}, b"other bytes")


def test_a_body_of_one_field_over_and_over_is_read_at_once() -> None:
    fields = read_fields(b"a&" * 32_000, "")
    assert fields["a"] == [""] * 32_000
