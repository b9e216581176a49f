"""Reading the body of a post into fields. Nothing is lost and nothing refused: what is no text is written out."""

from __future__ import annotations

import hashlib
import io
import json
from typing import IO
from urllib.parse import parse_qsl

from pydantic_core import to_json
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from bridge.model import Fields

_URLENCODED = ("", "application/x-www-form-urlencoded")


def read_fields(body: bytes, content_type: str) -> Fields:
    """The fields of a form, however it was encoded; of a JSON object, its top level as text.

    A field that came several times is a list; an attached file is a field, too. Raw spaces stay spaces, bytes that are
    no UTF-8 become `\\xNN`. A body that is not what its content type says is read as an urlencoded form.
    """
    kind, options = parse_options_header(content_type) if content_type not in _URLENCODED else ("", {})
    if kind == "multipart/form-data":
        pairs = _multipart(body, kind, options)
    elif kind.endswith("json"):
        pairs = _json(body)
    else:
        pairs = None
    if pairs is None:
        pairs = parse_qsl(_text(body), keep_blank_values=True, encoding="utf-8", errors="backslashreplace")
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


def digest(fields: Fields, body: bytes) -> str:
    """A short hash by which an identical form is known again, in whatever order its fields came."""
    content = to_json(sorted(fields.items())) if fields else body
    return hashlib.sha256(content).hexdigest()[:16]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _multipart(body: bytes, kind: str, options: dict[str, str]) -> list[tuple[str, str]] | None:
    parser = FormDataParser(stream_factory=_in_memory, silent=False)
    try:
        _, form, files = parser.parse(io.BytesIO(body), kind, len(body), options)
    except ValueError:
        return None
    attached = [(name, _text(file.stream.read())) for name, file in files.items(multi=True)]
    return [*form.items(multi=True), *attached]


def _in_memory(*_: object, **__: object) -> IO[bytes]:
    return io.BytesIO()


def _json(body: bytes) -> list[tuple[str, str]] | None:
    try:
        members = json.loads(body)
        if not isinstance(members, dict):
            return None
        return [(_sound(name), _sound(_member_text(value))) for name, value in members.items()]
    except (ValueError, RecursionError):
        return None


def _member_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _sound(text: str) -> str:
    """The text without lone surrogates, which JSON can bring and nothing can store."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
