"""Playing scripted calls to a bridge over HTTP, as a PBX would post them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import requests

from bridge.model import Scenario


@dataclass(frozen=True, slots=True)
class Step:
    """One post and its answer: the form, the HTTP status (None where nothing answered), the text."""

    form: dict[str, str]
    status: int | None
    text: str

    @property
    def is_ok(self) -> bool:
        """Whether the post was taken."""
        return self.status is not None and 200 <= self.status < 300


def play(scenario: Scenario, url: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[Step]:
    """Post each step of the scenario to `url`, after its pause."""
    with requests.Session() as session:
        session.trust_env = False
        for pause, form in scenario.steps:
            sleep(pause)
            try:
                answer = session.post(url, data=form, timeout=10, allow_redirects=False)
                yield Step(form, answer.status_code, answer.text)
            except requests.RequestException as error:
                # The URL holds the token: only the kind of error is told.
                yield Step(form, None, f"no answer ({type(error).__name__})")
