"""How a target of a connector does: running, paused or with an open breaker. Pure; the store keeps it for all
processes. Most connectors have one target; where there are several, what stops one stops no other.

::

    running ──5 temporary failures in a row──▶ open ──cool-down──▶ one probe ──▶ running, or open again (longer)
       │──Misconfigured──▶ paused ──every 15 minutes──▶ one probe ──▶ running, or paused still
       │──TargetGone─────▶ paused until somebody resumes it
       └──pause command──▶ paused until somebody resumes it

Times are seconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

PROBE_EVERY = 900.0
"""Seconds between the probes of a misconfigured connector."""

TELL_EVERY = 3600.0
"""Seconds between two events about dead deliveries of one connector."""

Place = tuple[str, str]
"""A connector's name and one of its targets (the empty text, where it has only one)."""
PausedBy = Literal["operator", "misconfigured", "gone"]
Admission = Literal["all", "one", "none"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """After `failures` temporary failures in a row (0: never) wait for the cool-downs (seconds), the last one
    repeated."""

    failures: int
    cooldown: Sequence[float]


@dataclass(frozen=True, slots=True)
class Health:
    """What is remembered of a target between deliveries. `reason` says why it is paused, `not_started` why its
    `bridge_start` failed, for people; `version` grows with each change that is kept, so that who reads late knows that
    he is late."""

    paused_by: PausedBy | None = None
    reason: str | None = None
    probe_at: float | None = None
    failures: int = 0
    opened: int = 0
    open_until: float | None = None
    last_error: str | None = None
    dead_untold: int = 0
    dead_told_at: float | None = None
    not_started: str | None = None
    version: int = 0

    def admits(self, now: float) -> Admission:
        """How many deliveries may be tried now: all, one at a time (a probe), or none."""
        if self.not_started is not None:
            return "none"
        if self.paused_by is not None:
            return "one" if self.probe_at is not None and self.probe_at <= now else "none"
        if self.open_until is not None:
            return "one" if self.open_until <= now else "none"
        return "all"

    def admits_at(self) -> float | None:
        """When the next probe is allowed; None where nothing is waited for, or nothing but a resume helps."""
        if self.not_started is not None:
            return None
        return self.probe_at if self.paused_by is not None else self.open_until

    def delivered(self) -> Health:
        """A delivery went through: whatever was wrong is over, but for a pause that only a resume ends."""
        if self.paused_by in ("operator", "gone"):
            return replace(self, failures=0, opened=0, open_until=None, last_error=None)
        return self.resume()

    def failed_temporarily(self, error: str, breaker: Breaker, now: float) -> Health:
        """One more temporary failure: open the breaker after enough of them, or open it longer after a failed probe."""
        failures = self.failures + 1
        probe_at = now + PROBE_EVERY if self.probe_at is not None else None
        health = replace(self, failures=failures, last_error=error, probe_at=probe_at)
        if self.open_until is not None and self.open_until > now:
            return health  # a try that was under way when the breaker opened: it has been counted already
        if not breaker.failures or (self.open_until is None and failures < breaker.failures):
            return health
        cooldown = breaker.cooldown[min(self.opened, len(breaker.cooldown) - 1)]
        return replace(health, opened=self.opened + 1, open_until=now + cooldown)

    def misconfigured(self, error: str, now: float) -> Health:
        """Wrong credentials or target: pause, but probe now and then. What paused it before stays."""
        if self.paused_by in ("operator", "gone"):
            return replace(self, last_error=error)
        return replace(
            self, paused_by="misconfigured", reason=error, last_error=error, probe_at=now + PROBE_EVERY, open_until=None
        )

    def gone(self, error: str) -> Health:
        """The target is gone for good: pause until somebody resumes the connector."""
        if self.paused_by == "operator":
            return replace(self, last_error=error)
        return replace(self, paused_by="gone", reason=error, last_error=error, probe_at=None, open_until=None)

    def answered(self, error: str, now: float) -> Health:
        """A permanent failure: this delivery is dead, but the other side is there, so the breaker closes."""
        if self.paused_by is not None:
            return replace(self, last_error=error, probe_at=None if self.probe_at is None else now + PROBE_EVERY)
        return replace(self, failures=0, opened=0, open_until=None, last_error=error)

    def pause(self) -> Health:
        """The operator pauses it."""
        return replace(self, paused_by="operator", reason="paused by the operator", probe_at=None)

    def resume(self) -> Health:
        """The operator resumes it, whatever stopped it; but what could not start needs a restart."""
        return Health(
            dead_untold=self.dead_untold,
            dead_told_at=self.dead_told_at,
            not_started=self.not_started,
            version=self.version,
        )

    def started(self, error: str | None) -> Health:
        """A process has called `bridge_start`; `error` says why it failed."""
        return replace(self, not_started=error)

    def died(self, count: int) -> Health:
        """`count` deliveries more are dead, of which nobody has been told."""
        return replace(self, dead_untold=self.dead_untold + count)

    def dead_to_tell(self, now: float) -> int:
        """How many dead deliveries somebody is to be told of now: at most one telling an hour."""
        if self.dead_told_at is not None and 0 <= now - self.dead_told_at < TELL_EVERY:
            return 0
        return self.dead_untold

    def told(self, now: float) -> Health:
        """Somebody has been told of all dead deliveries so far."""
        return replace(self, dead_untold=0, dead_told_at=now)

    def moved(self, jump: float) -> Health:
        """The same after the clock has jumped by so many seconds."""

        def along(at: float | None) -> float | None:
            return None if at is None else at + jump

        return replace(
            self,
            probe_at=along(self.probe_at),
            open_until=along(self.open_until),
            dead_told_at=along(self.dead_told_at),
        )

    def to_json(self) -> str:
        """Compact JSON, for the store."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def joining(cls, others: Collection[Health]) -> Health:
        """Of a target that joins others of its connector: what holds for all of them holds for it, too."""
        told_at = max((one.dead_told_at for one in others if one.dead_told_at is not None), default=None)
        health = cls(dead_told_at=told_at)
        return health.pause() if any(one.paused_by == "operator" for one in others) else health

    @classmethod
    def from_json(cls, text: str) -> Health:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))
