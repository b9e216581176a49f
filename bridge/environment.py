"""Settings that come as text: environment variables and secret files.

`CALLBRIDGE_CONNECTORS__MISSED_TO_SLACK__TOKEN` is the key `connectors.missed_to_slack.token`. What it holds stays text
until the field it is for is known: a token `12345` is no number. Only where a field wants a list or a table is the text
decoded: JSON, or for a list also `a, b`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

from pydantic_core import ErrorDetails

from bridge.errors import Fault, SettingsError

CONFIG_VARIABLE = "CALLBRIDGE_CONFIG"
SECRETS_VARIABLE = "CALLBRIDGE_SECRETS_DIR"

_PREFIX = "CALLBRIDGE_"
_NOT_KEYS = frozenset({CONFIG_VARIABLE, SECRETS_VARIABLE})
_LISTS = frozenset({"list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"})
_TABLES = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"})

KeyPath = tuple[str | int, ...]
Texts = Mapping[tuple[str, ...], "EnvText"]
"""Texts by key path, in lower case."""


class EnvText(str):
    """A text for the field it is meant for to decode; `origin` is the variable or the file it came from."""

    origin: str

    def __new__(cls, text: str, origin: str) -> Self:
        self = super().__new__(cls, text)
        self.origin = origin
        return self


def environment_texts(environ: Mapping[str, str]) -> dict[tuple[str, ...], EnvText]:
    """The `CALLBRIDGE_…` variables, by key path."""
    return {_key(name): EnvText(text, name) for name, text in environ.items() if _is_key(name)}


def secret_texts(directory: Path) -> dict[tuple[str, ...], EnvText]:
    """The secret files of a directory, named like the variables in any case; other files are nobody's business here.

    Raises OSError or UnicodeDecodeError where the directory or a file cannot be read.
    """
    return {
        _key(file.name): EnvText(file.read_text("utf-8").rstrip("\r\n"), str(file)) for file in _files_of(directory)
    }


def secret_files(environ: Mapping[str, str]) -> list[Path]:
    """The secret files there are. Raises OSError where their directory cannot be read."""
    directory = environ.get(SECRETS_VARIABLE)
    return _files_of(Path(directory)) if directory else []


def _files_of(directory: Path) -> list[Path]:
    # is_file() follows links: Kubernetes mounts each secret as a link into the hidden directory `..data`.
    return [file for file in sorted(directory.iterdir()) if _is_key(file.name) and file.is_file()]


def _is_key(name: str) -> bool:
    return name.upper().startswith(_PREFIX) and name.upper() not in _NOT_KEYS


def _key(name: str) -> tuple[str, ...]:
    return tuple(name[len(_PREFIX) :].lower().split("__"))


def nested(texts: Texts, file: Mapping[str, Any]) -> dict[str, Any]:
    """The texts as nested tables, ready to be laid over those of the configuration `file`.

    A key is spelled as the file spells it (`…HEADERS__X_API_KEY` is `headers.X-Api-Key`). A text that is a JSON object
    and lies where the file or other variables have a table is that table, so that they are merged.
    Raises SettingsError where one variable holds a value and another one wants a table in its place.
    """
    tree: dict[str, Any] = {}
    for head in dict.fromkeys(path[0] for path in texts):
        key = next((key for key in file if key.lower().replace("-", "_") == head), head)
        beside = file.get(key)
        own = texts.get((head,))
        inner = {path[1:]: text for path, text in texts.items() if path[0] == head and len(path) > 1}
        table = _json_table(own) if own is not None and (inner or isinstance(beside, Mapping)) else None
        if own is not None and not inner:
            tree[key] = own if table is None else table
        elif own is not None and table is None:
            names = " and ".join(sorted(text.origin for text in inner.values()))
            raise SettingsError([Fault(key, f"{own.origin} is no table (a JSON object), so {names} cannot be in it")])
        else:
            tree[key] = _merged(table or {}, nested(inner, beside if isinstance(beside, Mapping) else {}))
    return tree


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(lower[key], upper[key]) for key in lower.keys() & upper.keys() if _tables(lower[key], upper[key])
    }
    return {**lower, **upper, **both}


def _tables(*values: object) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _json_table(text: str) -> dict[str, Any] | None:
    value = _json(text) if text.lstrip().startswith("{") else None
    return value if isinstance(value, dict) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def locate(data: object, loc: Sequence[str | int]) -> tuple[KeyPath, object]:
    """The path that leads from `data` along `loc`, and the value there.

    `loc` is pydantic's location of an error, which also has parts that are no keys (the member of a union): they are
    left out. The way ends early at a text of the environment: pydantic may have looked into what was decoded from it.
    """
    path: list[str | int] = []
    for part in loc:
        keys = data if isinstance(data, Mapping) else range(len(data)) if isinstance(data, list | tuple) else ()
        if part in keys:
            data = cast("Any", data)[part]
            path.append(part)
    return tuple(path), data


def origins(data: object) -> set[str]:
    """The variables and secret files that the values within `data` came from; "" stands for the configuration file."""
    if isinstance(data, Mapping):
        return {origin for value in data.values() for origin in origins(value)}
    return {data.origin if isinstance(data, EnvText) else ""}


def decoded(data: Any, errors: Sequence[ErrorDetails]) -> Any:
    """`data` with the texts decoded whose fields want a list or a table; `data` itself where there are none."""
    for error in errors:
        path, text = locate(data, error["loc"])
        if isinstance(text, EnvText) and error["type"] in _LISTS | _TABLES:
            value = _json(text) if text.lstrip().startswith(("[", "{")) else None
            if error["type"] in _LISTS and not text.lstrip().startswith(("[", "{")):
                value = [item.strip() for item in text.split(",")] if text.strip() else []
            if value is not None:
                data = replaced(data, path, value)
    return data


def replaced(data: Mapping[Any, Any], path: KeyPath, value: object) -> dict[Any, Any]:
    """A copy of nested tables with another value at `path`."""
    head, *below = path
    return {**data, head: replaced(data[head], tuple(below), value) if below else value}
