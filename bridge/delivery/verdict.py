"""What an outcome means: the state of the delivery, its next turn, and how the connector does. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bridge.errors import (
    DeliveryFailure,
    Misconfigured,
    PermanentFailure,
    TargetGone,
    TemporaryFailure,
)
from bridge.health import Health
from bridge.hookspecs import Outcome
from bridge.model import Receipt, Skip
from bridge.plugins import Policy
from bridge.store.deliveries import Attempt, Claim, Ending

LONGEST_TEXT = 500
"""Characters kept of an answer or an error."""


def is_sound(outcome: object) -> bool:
    """Whether what a plugin answered for one delivery is an `Outcome`, its fields included."""
    match outcome:
        case None | Skip(reason=str()):
            return True
        case Receipt(text=str()) | DeliveryFailure():
            asked = outcome.retry_after if isinstance(outcome, TemporaryFailure) else None
            return (
                isinstance(outcome.status, int | None)
                and abs(outcome.status or 0) < 2**31
                and isinstance(outcome.answer, str | None)
                and isinstance(asked, int | float | None)
            )
    return False


class Judge:
    """Judges the outcomes of one connector; `clean` removes secrets from texts before they are kept."""

    def __init__(self, policy: Policy, clean: Callable[[str], str]) -> None:
        self._policy = policy
        self._clean = clean

    def judge(
        self, claim: Claim, outcome: Outcome, *, started_at: float, seconds: float, contact: str | None = None
    ) -> Ending:
        """How the delivery ends after a try that began at `started_at` (seconds since the epoch)."""
        at = started_at + seconds
        if isinstance(outcome, DeliveryFailure) and not isinstance(outcome, PermanentFailure | Misconfigured):
            return self._later(claim, outcome, started_at, seconds, contact)
        error = self._error(claim, outcome)
        health: Callable[[Health], Health] | None
        match outcome:
            case Misconfigured():
                state, kind, health = "pending", "misconfigured", partial(Health.misconfigured, error=error, now=at)
            case TargetGone():
                state, kind, health = "dead", "permanent", partial(Health.gone, error=error)
            case PermanentFailure():
                state, kind, health = "dead", "permanent", partial(Health.answered, error=error, now=at)
            case Skip():
                state, kind, health = "skipped", "skipped", None
            case _:
                state, kind, health = "delivered", "delivered", Health.delivered
        return Ending(
            claim=claim,
            state=state,
            at=at,
            attempt=self._attempt(claim, kind, outcome, started_at, seconds),
            step=claim.step,
            due_at=at,
            receipt=self._receipt(outcome),
            contact=contact,
            health=health,
        )

    def expired(self, claim: Claim, now: float) -> Ending:
        """The delivery is older than `max_age`: it ends untried."""
        return Ending(claim=claim, state="expired", at=now, step=claim.step, due_at=now)

    def is_too_old(self, claim: Claim, now: float) -> bool:
        """Whether the delivery has waited past `max_age`."""
        return now - claim.fresh_from > self._policy.max_age

    def _later(
        self, claim: Claim, failure: DeliveryFailure, started_at: float, seconds: float, contact: str | None
    ) -> Ending:
        at = started_at + seconds
        asked = failure.retry_after if isinstance(failure, TemporaryFailure) else None
        wait = self._policy.schedule.wait(claim.step, asked)
        error = self._error(claim, failure)
        return Ending(
            claim=claim,
            state="dead" if wait is None else "pending",
            at=at,
            attempt=self._attempt(claim, "temporary", failure, started_at, seconds),
            step=claim.step + 1,
            due_at=at + (wait or 0.0),
            hold_until=at + self._policy.order_hold,
            contact=contact,
            health=lambda health: health.failed_temporarily(error, self._policy.breaker, at),
        )

    def _attempt(self, claim: Claim, kind: str, outcome: Outcome, started_at: float, seconds: float) -> Attempt:
        failure = outcome if isinstance(outcome, DeliveryFailure) else None
        said = outcome if isinstance(outcome, DeliveryFailure | Receipt) else None
        return Attempt(
            started_at=started_at,
            seconds=seconds,
            outcome=kind,
            status=said.status if said else None,
            error=self._error(claim, failure) if failure else None,
            answer=self._text(said.answer) if said and said.answer else None,
        )

    def _receipt(self, outcome: Outcome) -> str | None:
        if isinstance(outcome, Receipt):
            return self._text(outcome.text) or None
        return self._text(outcome.reason) or None if isinstance(outcome, Skip) else None

    def _error(self, claim: Claim, outcome: Outcome) -> str:
        """What went wrong, and with which target, where there are several."""
        return self._text(f"{claim.target}: {outcome}" if claim.target else str(outcome))

    def _text(self, text: str) -> str:
        # Cleaned before it is cut: half a secret is still one. Lone surrogates are no text, and no store takes them.
        return self._clean(text)[:LONGEST_TEXT].encode(errors="replace").decode()
