"""What one of several processes on a store does of all there is to do (`serve --role`, `--connectors`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from bridge.errors import Fault, SettingsError

Role = Literal["all", "intake", "worker"]


@dataclass(frozen=True, slots=True)
class Duty:
    """What this process does: take posts and serve pages, and deliver to these connectors (None: to all)."""

    takes_posts: bool = True
    connectors: frozenset[str] | None = None

    def delivers_to(self, connector: str) -> bool:
        """Whether this process delivers to a connector."""
        return self.connectors is None or connector in self.connectors


ALL = Duty()


def find_duty(role: Role, named: Collection[str], configured: Collection[str]) -> Duty:
    """The duty of a role; `named` connectors (none: all) are those that it delivers to.

    Raises SettingsError where one of them is not configured.
    """
    if role == "intake":
        return Duty(connectors=frozenset())
    known = ", ".join(sorted(configured)) or "none"
    if faults := [
        Fault(f"connectors.{name}", f"is not configured; there are: {known}")
        for name in named
        if name not in configured
    ]:
        raise SettingsError(faults)
    return Duty(takes_posts=role == "all", connectors=frozenset(named) or None)
