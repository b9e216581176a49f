"""Templates of the config: sandboxed, bounded, and clear where they fail."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from bridge import PermanentFailure, Template


def test_a_template_writes_its_values_and_uses_the_filters_it_is_given() -> None:
    template = Template(
        "{{ name | twice }}: {{ known | tojson }}", longest=100, filters={"twice": lambda text: text * 2}
    )
    assert template.render({"name": "Ay", "known": {"ş": 1}}) == 'AyAy: {"ş": 1}'


def test_an_escape_is_applied_to_every_text_but_what_is_marked_safe() -> None:
    template = Template("{{ a }} {{ a | safe }} {{ nothing }}", longest=100, escape=lambda text: text.replace("!", ""))
    assert template.render({"a": "a!", "nothing": None}) == "a a! "


def test_a_text_within_the_template_is_escaped_like_any_other() -> None:
    template = Template("{{ '<a!>' }} {{ x ~ '!' }}", longest=100, escape=lambda text: Markup(text.replace("!", "")))
    assert template.render({"x": "<b>"}) == "<a> <b>"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ missing }}", "line 1: 'missing' is undefined"),
        ("\n{{ 1 / 0 }}", "line 2: division by zero"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% for i in range(999) %}0123456789{% endfor %}", "more than 100 characters"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
        ("{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}", "more than 100000 turns"),
        ("\n{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}", "line 2: "),
        ("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}", "100000 turns"),
        ("{{ 'x' * 10 ** 9 }}", r"`\*` would make too large"),
        ("{{ 10 ** 9 * [1] }}", r"`\*` would make too large"),
        ("{{ 10 ** (10 ** 9) }}", r"`\*\*` would make too large"),
    ],
)
def test_a_template_that_fails_is_a_permanent_failure_that_says_why(source: str, message: str) -> None:
    with pytest.raises(PermanentFailure, match=message):
        Template(source, longest=100).render({})


def test_a_template_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.LONGEST_RENDERING", 0.05)
    slow = "{% for i in range(9999) %}{% for j in range(99999) if j < 0 %}{% endfor %}{% endfor %}"
    with pytest.raises(PermanentFailure, match="takes longer than"):
        Template(slow, longest=100).render({})


def test_a_template_calculates_as_ever() -> None:
    source = "{% macro line(n) %}{{ '-' * n }}{% endmacro %}{{ line(3) }} {{ 2 ** 10 }} {{ 2.5 * 2 }} {{ [1] * 2 }}"
    assert Template(source, longest=100).render({}) == "--- 1024 5.0 [1, 1]"


def test_a_text_that_is_no_template_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match="line 2: "):
        Template("fine\n{{ oh", longest=100)
