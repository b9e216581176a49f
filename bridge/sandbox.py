"""Jinja's sandbox, with bounds on how long a template runs and on what a single operation makes.

A thread cannot be stopped from outside, so the template stops itself: every turn of a loop and every call of a macro
takes a step, and looks at the clock.
"""

from __future__ import annotations

import time
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_STEPS = 100_000
"""Turns of loops and calls of macros in one rendering."""
LONGEST_RENDERING = 1.0
"""Seconds of one rendering."""
LARGEST_VALUE = 1_000_000
"""Characters or members of what `*` makes, and bits of what `**` makes."""

STEPS = "the steps"
"""The variable that holds the `Steps` of a rendering: a blank is in no name that a template can write."""
_TAKE = "take a step"


class Steps:
    """What is left of the bounds of one rendering."""

    def __init__(self) -> None:
        self._left = MOST_STEPS
        self._until = time.monotonic() + LONGEST_RENDERING

    def take(self) -> None:
        """One step more. Raises SecurityError where it is one too many, or the time is up."""
        self._left -= 1
        if self._left < 0:
            raise SecurityError(f"more than {MOST_STEPS} turns of loops")
        if time.monotonic() > self._until:
            raise SecurityError(f"takes longer than {LONGEST_RENDERING:g} s")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox. A template is rendered with a fresh `Steps` as its variable `STEPS`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.intercepted_binops = frozenset({"*", "**"})
        self.filters[_TAKE] = _take_step

    def _generate(self, source: nodes.Template, *arguments: Any, **options: Any) -> str:
        loops = [loop.body for loop in source.find_all(nodes.For)]
        macros = [macro.body for macro in source.find_all(nodes.Macro)]
        for body in (*loops, *macros):
            body.insert(0, nodes.ExprStmt(nodes.Filter(nodes.Const(""), _TAKE, [], [], None, None)))
        source.set_environment(self)
        return super()._generate(source, *arguments, **options)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Multiply or raise to a power, unless that would be too large. Raises SecurityError then."""
        if _size(operator, left, right) > LARGEST_VALUE:
            raise SecurityError(f"`{operator}` would make too large a value")
        return super().call_binop(context, operator, left, right)


@pass_context
def _take_step(context: Context, nothing: str) -> str:
    context[STEPS].take()
    return nothing


def _size(operator: str, left: Any, right: Any) -> int:
    if operator == "**":
        return left.bit_length() * right if isinstance(left, int) and isinstance(right, int) else 0
    many, times = (right, left) if isinstance(left, int) else (left, right)
    return len(many) * times if hasattr(many, "__len__") and isinstance(times, int) else 0
