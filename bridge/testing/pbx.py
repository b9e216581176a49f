"""A stand-in for a PBX."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bridge.plugins import load_source_kind
from bridge.settings import SourceSettings
from bridge.simulate import play
from bridge.testing.process import BridgeProcess


class FakePbx:
    """Posts scripted calls to a bridge, as a PBX of the kind `source` would.

    `url` is where the bridge listens; `token` is one of its `intake.tokens`, if it has any.
    """

    def __init__(self, url: str, *, token: str = "", source: str = "bulutsantralim") -> None:
        self._url = f"{url}/event/{source}" + (f"/{token}" if token else "")
        self._scenarios = load_source_kind(source).scenarios
        self._timezone = SourceSettings(kind=source).timezone

    def play(self, scenario: str = "missed") -> None:
        """Post a scenario (`callbridge simulate --list` names them), without its pauses.

        Raises AssertionError where the bridge does not take a post.
        """
        steps = self._scenarios[scenario](datetime.now(self._timezone))
        for step in play(steps, self._url, sleep=lambda _: None):
            assert step.is_ok, f"the bridge answered {step.status}: {step.text}"


class ConnectPbx(Protocol):
    """The fixture `fake_pbx`."""

    def __call__(self, bridge: BridgeProcess, *, token: str = "", source: str = "bulutsantralim") -> FakePbx:
        """Make a stand-in for a PBX of the kind `source` that posts to a bridge, with one of its tokens (if any)."""
