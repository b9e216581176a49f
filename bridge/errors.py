"""Every error callbridge raises on purpose.

::

    BridgeError
    ├── SettingsError            the configuration cannot be used: every fault of it, with its key path
    ├── PluginError              a plugin cannot be found, imported or registered
    ├── StoreError               the store cannot take or give something now
    ├── Unreadable               a source cannot make a call event of a post (kept in the quarantine)
    └── DeliveryFailure          a connector could not deliver
        ├── TemporaryFailure     try again later (`retry_after` seconds at the earliest)
        ├── PermanentFailure     this delivery never succeeds: it is dead at once
        │   └── TargetGone       … and neither will any other: the connector pauses until it is resumed
        └── Misconfigured        wrong credentials or target: the connector pauses but for a probe now and then,
                                 the delivery stays pending

A connector says what happened by raising one of the last five; when to try again, pausing and dead letters are the
core's business. The message of an error is read by people: say what happened and what to do, and put no secret into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BridgeError(Exception):
    """The root of all errors callbridge raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration.

    `path` is the dotted key (`connectors.missed_to_slack.webhook_url`; empty where no key is meant), `message` says
    what is wrong and what to do.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SettingsError(BridgeError):
    """The configuration cannot be used. `faults` holds every fault found, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class PluginError(BridgeError):
    """A plugin cannot be found, imported or registered; the message names it and the reason."""


class StoreError(BridgeError):
    """The store cannot take or give something now (locked, full, unreachable, not migrated)."""


class Unreadable(BridgeError):
    """A source cannot make a call event of a post: the message, one line, says what is missing.

    The sender is answered 400 with that line and the raw form is kept in the quarantine.
    """


class DeliveryFailure(BridgeError):
    """A connector could not deliver. Raise one of the subclasses.

    `status` is the HTTP status or the like, where there was one; `answer` is what the other side said (the core keeps
    its first 500 characters, secrets removed).
    """

    def __init__(self, message: str, *, status: int | None = None, answer: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


class TemporaryFailure(DeliveryFailure):
    """It did not work now and may work later: a network fault, a rate limit, a fault of the other side.

    `retry_after` is how many seconds the other side asks to wait; the core waits for the longer of it (at most an hour)
    and the connector's retry schedule.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        answer: str | None = None,
    ) -> None:
        super().__init__(message, status=status, answer=answer)
        self.retry_after = retry_after


class PermanentFailure(DeliveryFailure):
    """This delivery can never succeed (the other side does not accept it): it becomes dead at once."""


class TargetGone(PermanentFailure):
    """The target is gone for good (HTTP 410): the delivery is dead and the connector pauses until it is resumed."""


class Misconfigured(DeliveryFailure):
    """The connector's credentials or its target are wrong: no delivery can succeed until somebody mends the config.

    The connector is paused but for one probe every 15 minutes; its deliveries stay pending and lose no attempt.
    """
