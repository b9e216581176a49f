"""JMESPath: what is meant in the answer of a CRM."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

LONGEST = 1000
"""Characters of a text that are used."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Misfit(ValueError):
    """What was found is not of the kind that is wanted; the text says what it is."""


def found(expression: str, data: Any) -> Any:
    """What the expression finds in the data; None for nothing. Raises Misfit where it does not fit the data."""
    try:
        return jmespath.search(expression, data)
    except Exception as error:  # noqa: BLE001  # beside its own errors a function raises what its operands do
        raise Misfit(f"does not fit the answer: {_one_line(error)}") from None


def texts(value: Any) -> Iterator[str]:
    """The texts in what was found: of a text, a number, or a list of them; null, true and false are none.

    Raises Misfit where there is an object.
    """
    match value:
        case str():
            # Lone surrogates (JSON can bring them) and zeros are no text for a database.
            text = _CONTROL.sub(" ", value[:LONGEST].encode(errors="replace").decode()).strip()
            if text:
                yield text
        case float() if not value.is_integer():
            if math.isfinite(value):
                yield str(value)
        case bool() | None:
            return
        case int() | float():
            yield str(int(value))
        case list():
            for each in value:
                yield from texts(each)
        case _:
            raise Misfit("finds an object: name a key within it")


def _check(expression: str) -> str:
    try:
        tree = jmespath.compile(expression).parsed
    except JMESPathError as error:
        raise PydanticCustomError("jmespath", "{reason}", {"reason": f"no JMESPath: {_one_line(error)}"}) from None
    unknown = sorted(set(_functions(tree)) - {*Functions.FUNCTION_TABLE})
    if unknown:
        raise PydanticCustomError("jmespath", "no JMESPath: there is no function {name}()", {"name": unknown[0]})
    return expression


def _functions(node: Mapping[str, Any]) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node.get("children", ()):
        if isinstance(child, Mapping) and "type" in child:
            yield from _functions(child)


def _one_line(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), type(error).__name__)
    return line.removeprefix("Invalid jmespath expression: ").removesuffix(":").removesuffix(", for expression")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Expression = Annotated[str, AfterValidator(_check)]
"""A JMESPath expression."""
Expressions = Annotated[tuple[Expression, ...], BeforeValidator(_listed)]
"""JMESPath expressions: one as text, or a list."""
