"""What the bridge does for a connector besides calling it: the history of a number, a feed of its own, the directories.

`ConnectorContext` has one of each. They may be used from any thread, from a connector's hooks, its pages and its
commands (not yet in `create`). Where the store cannot be used now they raise `BridgeError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bridge.model import Call, Contact, Number


class History(Protocol):
    """The calls that were kept, read by the number of the outside party."""

    def calls(self, number: Number | str, *, limit: int = 10) -> Sequence[Call]:
        """The last `limit` calls with this number (a str is E.164), whoever called whom, the newest first.

        Each as it stands now, those under way too: leave out the present one by its `id`. Nobody, where the number is
        withheld or an inside one. Raises BridgeError where the store cannot be read now.
        """


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One thing that was published, as `id`, to a `channel`: `data` is what was given to `Feed.publish`, `published_at`
    carries a zone (UTC)."""

    id: int
    channel: str
    published_at: datetime
    data: Mapping[str, Any]


class Feed(Protocol):
    """A small durable feed in the store, of one connector (by its configured name) alone.

    All processes on one store see the same. An item has an id; ids grow, whichever process publishes, and are never
    used again. So whoever remembers the id he has read up to can go on from there after any interruption::

        while True:
            for item in feed.read(channels, after):
                after = item.id
                ...
            feed.wait(channels, after, 15.0)
    """

    def publish(self, channel: str, data: Mapping[str, Any], *, keep: float | None) -> int:
        """Publish `data` (what JSON can hold) to a channel; returns its id. It is on disk then, and readers wake up.

        `keep` is how many seconds it can be read; None: until `remove`. Raises BridgeError where the store cannot take
        it now, TypeError or ValueError where `data` is no JSON object.
        """

    def read(self, channels: Collection[str], after: int = 0, *, limit: int = 1000) -> Sequence[FeedItem]:
        """The items of these channels with an id greater than `after`, the oldest first, at most `limit`."""

    def last_id(self) -> int:
        """The newest id there is by now, for who wants to read only what comes; 0 before the first."""

    def wait(self, channels: Collection[str], after: int, seconds: float) -> bool:
        """Wait until these channels have an item with an id greater than `after`, for `seconds` at most.

        True as soon as they have: at once where this process publishes it, within about 100 ms where another one does.
        False at the timeout, and at once when the bridge stops. Hundreds of threads may wait.
        """

    def remove(self, channel: str) -> None:
        """Nothing that was published to this channel until now can be read any more."""


class Directories(Protocol):
    """The configured directories."""

    def find(self, number: Number, seconds: float | None = None) -> Sequence[Contact] | None:
        """Everybody who has this number, by the first directory in the config that knows it.

        Answers are remembered as for deliveries (found 10 minutes, unknown 1 minute). Waits no longer than the
        directories' own time budgets, and than `seconds`. Empty where nobody knows the number; None where that cannot
        be said yet, as a directory is down or late and no other knows it: ask again later. Never raises.
        """


@dataclass(frozen=True, slots=True)
class Services:
    """What the connectors of one process get; `feed` makes the one of a connector by its name."""

    history: History
    feed: Callable[[str], Feed]
    directories: Directories


def as_json(data: Mapping[str, Any]) -> str:
    """The JSON text of what is published. Raises TypeError or ValueError where it is no JSON object."""
    if not isinstance(data, Mapping):
        raise TypeError(f"a feed takes a mapping, not a {type(data).__name__}")
    return json.dumps(dict(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
