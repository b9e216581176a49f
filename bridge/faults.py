"""Validating settings so that every fault is found at once and said in people's words.

pydantic does not look behind a faulty value. So what is faulty is taken out and the rest is validated again, until
nothing is left to find.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import AliasChoices, AliasPath, BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bridge.environment import EnvText, KeyPath, decoded, locate, origins, replaced
from bridge.errors import Fault
from bridge.redaction import Redactor

T = TypeVar("T")

_WORDS = {
    "missing": "is required",
    "string_type": "must be text, in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "zoneinfo_str": "is no time zone: write one such as Europe/Istanbul",
}


def validate(
    read: Callable[[Any], T],
    data: Any,
    model: type[BaseModel],
    *,
    path: KeyPath = (),
    also_known: Iterable[str] = (),
    stand_in: Callable[[KeyPath], object | None] = lambda _: None,
) -> tuple[T | None, list[Fault]]:
    """What `read` makes of `data` by `model`, and every fault found; None where nothing can be read beside the faults.

    Texts of the environment are decoded as their fields want. `path` is where `data` lies in the configuration,
    `also_known` are keys somebody else reads there, `stand_in` gives a value for a faulty key without which its
    neighbours could not be looked at.
    """
    given, faults, gone = data, list[Fault](), set[KeyPath]()
    while True:
        try:
            return read(data), faults
        except ValidationError as error:
            errors = _genuine(error.errors(include_url=False))
        # A validator of a table cannot know that a value it misses, or misses in a table below, was taken out.
        told = [error for error in errors if not _is_due_to(gone, _whole_path(model, given, error))]
        # Outside of the handler: what is raised from here on must not carry pydantic's error, which shows the values.
        better = decoded(data, errors)
        if better is data:
            said = {fault.path for fault in faults}
            found = _faults(told, data, given, model, path, also_known)
            faults += [fault for fault in found if fault.path not in said]
            # What is unknown is missed by nobody.
            gone |= {_whole_path(model, given, error) for error in errors if error["type"] != "extra_forbidden"} - {()}
            better = _without(data, errors, stand_in)
        if better is data:
            return None, faults
        data = better


def _genuine(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without complaints that a list is too short where that is only so because its faulty items do not count."""
    faulty = {error["loc"][:-1] for error in errors}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in faulty]


def _is_due_to(gone: Iterable[KeyPath], path: KeyPath) -> bool:
    """Whether a fault lies where something was taken out, in a table around it, or within."""
    return any(each[: len(path)] == path[: len(each)] for each in gone)


def _whole_path(model: type[BaseModel], data: object, error: ErrorDetails) -> KeyPath:
    """Where an error is, also where it names a key that was not given; without the parts of pydantic's that are no
    keys (the member of a union)."""
    models, path = {model}, list[str | int]()
    for part in error["loc"]:
        fields = [field for each in models for key, field in _fields(each) if key == part]
        way, below = locate(data, (part,))
        if way or (fields and not isinstance(data, EnvText)):
            path.append(part)
            data = below if way else None
            models = {each for field in fields for each in _models(field.annotation)} or models
    if error["type"] == "missing" and path[-1:] != [error["loc"][-1]]:
        path.append(error["loc"][-1])
    return tuple(path)


def _without(data: Any, errors: list[ErrorDetails], stand_in: Callable[[KeyPath], object | None]) -> Any:
    """`data` without what is faulty: the whole list where an item is, the whole table where a key is missing."""
    for way, error in [(locate(data, error["loc"])[0], error) for error in errors]:
        key = (*way, error["loc"][-1]) if error["type"] == "missing" else _up_to_list(way)
        substitute = stand_in(key)
        if locate(data, way)[0] != way:
            continue
        if substitute is not None:
            data = replaced(data, key, substitute)
        elif way:
            data = _dropped(data, _up_to_list(way))
    return data


def _up_to_list(path: KeyPath) -> KeyPath:
    return next((path[:depth] for depth, part in enumerate(path) if isinstance(part, int)), path)


def _dropped(data: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """A copy without the value at `path`, nor the tables that would be empty without it."""
    copy = dict(data)
    below = copy.pop(str(path[0]))
    rest = _dropped(below, path[1:]) if len(path) > 1 else None
    return {**copy, str(path[0]): rest} if rest else copy


# --- words --------------------------------------------------------------------------------------------------------


def _faults(
    errors: list[ErrorDetails],
    data: object,
    given: object,
    model: type[BaseModel],
    path: KeyPath,
    also_known: Iterable[str],
) -> Iterator[Fault]:
    redactor = Redactor(_secret_texts(model, data))
    for error in errors:
        way, _ = locate(data, error["loc"])
        way_given, source = locate(given, error["loc"])
        missing = error["type"] == "missing"
        parts = [*path, *(_whole_path(model, given, error) if missing else max(way, way_given, key=len))]
        item = ""
        if parts and isinstance(parts[-1], int):
            *parts, index = parts
            item = f"item {int(index) + 1}: "
        message = _words(error)
        if error["type"] == "extra_forbidden":
            message = f"unknown key{_suggestion(str(way[-1]), _known(model, way[:-1], also_known))}"
        if isinstance(source, EnvText):
            message += f" (set by {source.origin})"
        elif missing:
            message += _only_by_variable(data, way)
        yield Fault(_dotted(parts), item + redactor.clean(message))


def _words(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in {"value_error", "assertion_error"}:
        return str(context["error"]) or "is not valid"
    if kind in {"literal_error", "enum"}:
        return f"must be {context['expected']}".replace("'", '"')
    if kind in {"too_short", "string_too_short"} and context["min_length"] == 1:
        return "must not be empty"
    return re.sub(r"^(Input|String|List|Tuple|Set|Dictionary) should ", "must ", error["msg"])


def _dotted(parts: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _only_by_variable(data: object, table: KeyPath) -> str:
    """A variable whose name is misspelled makes a table of its own: say which, and what it may have meant."""
    names = origins(locate(data, table)[1]) if table else set()
    if not names or "" in names:
        return ""
    _, neighbours = locate(data, table[:-1])
    others = {key: key for key in neighbours if key != table[-1]} if isinstance(neighbours, Mapping) else {}
    near = difflib.get_close_matches(str(table[-1]), others, n=1)
    hint = f"; did you mean `{_dotted([*table[:-1], near[0]])}`?" if near else ""
    return f" (only {', '.join(sorted(names))} speaks of `{_dotted(table)}`{hint})"


def _suggestion(key: str, known: Mapping[str, str]) -> str:
    """The key of `known` (spelling: key to show) nearest to `key`; all of them where none is near."""
    near = difflib.get_close_matches(key.lower(), known, n=1)
    if near:
        return f"; did you mean `{known[near[0]]}`?"
    shown = ", ".join(f"`{name}`" for name in dict.fromkeys(known.values()) if "." not in name)
    return f"; the keys here are {shown}" if shown else "; there are no keys here"


def _known(model: type[BaseModel], table: KeyPath, also_known: Iterable[str]) -> dict[str, str]:
    """The keys that can stand in the table at `table` beneath `model`, by their spellings.

    At the top also those one table below: people write `port` or `server_port` for `server.port`.
    """
    models = {model}
    for part in table:
        fields = [field for each in models for key, field in _fields(each) if key == part]
        models = {each for field in fields for each in _models(field.annotation)} or models
    own = {key: key for each in models for key, _ in _fields(each)}
    if table:
        return own
    inner = {
        spelling: f"{key}.{below}"
        for key, field in _fields(model)
        for each in _models(field.annotation)
        for below, _ in _fields(each)
        for spelling in (below, f"{key}_{below}")
    }
    return {**inner, **{key: key for key in also_known}, **own}


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model by the keys they are written as."""
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        for choice in choices:
            yield str(choice.path[0]) if isinstance(choice, AliasPath) else choice, field


def _types(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    return (each for each in _types(annotation) if issubclass(each, BaseModel))


def _secret_texts(model: type[BaseModel], data: object) -> Iterator[str]:
    """The texts in the secret fields of `data`, which a validator may have put into its message."""
    if not isinstance(data, Mapping):
        return
    for key, field in _fields(model):
        types = list(_types(field.annotation))
        if any(issubclass(each, SecretStr | SecretBytes | Secret) for each in types):
            yield from _leaves(data.get(key))
        for below in types:
            if issubclass(below, BaseModel):
                value = data.get(key)
                for each in value if isinstance(value, list) else [value]:
                    yield from _secret_texts(below, each)


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(each)
    elif value:
        yield str(value)
