"""The judge: holds what was answered 200 against what arrived and what the store shows.

- Every accepted post has arrived at every connector that wants it, or is in a state that an operator sees.
- A call has one ending.
- A delivery comes again only across a disruption (a kill, an outage of the store): where the answer to the first one
  could not be recorded. No delivery has been recorded as delivered twice.
- Of a call, a connector gets one event after the other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bridge import ENDINGS
from tests.faults.books import Books
from tests.faults.load import Post
from tests.faults.sink import Taken

SEEN_BY_OPERATORS = ("dead", "expired", "skipped")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a fault. `kept`: posts that an operator sees as dead, expired or paused; `wrong`: broken promises
    besides the losses."""

    fault: str
    accepted: int = 0
    delivered: int = 0
    kept: int = 0
    lost: int = 0
    repeated: int = 0
    wrong: Sequence[str] = ()
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.lost and not self.wrong


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store shows: the state of each (call, kind, connector), how many endings a call has, and which
    deliveries were recorded as delivered more than once."""

    states: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    endings: Mapping[str, int] = field(default_factory=dict)
    recorded_twice: Sequence[str] = ()


def read_store(books: Books) -> Stored:
    """What stands in a store."""
    events = {}
    endings: dict[str, int] = defaultdict(int)
    for event_id, event_type, payload in books.rows("SELECT id, type, payload FROM events"):
        raw = json.loads(payload)["data"].get("raw") or {}
        events[event_id] = (raw.get("call_uuid", ""), raw.get("event_type", ""))
        if event_type in ENDINGS:
            endings[raw.get("call_uuid", "")] += 1
    states = {
        (*events[event_id], connector): state
        for event_id, connector, state in books.rows("SELECT event_id, connector, state FROM deliveries")
    }
    twice = books.rows(
        "SELECT delivery_id FROM attempts WHERE outcome = 'delivered' GROUP BY delivery_id HAVING count(*) > 1"
    )
    return Stored(states, endings, [delivery for (delivery,) in twice])


def judge(
    fault: str,
    accepted: Sequence[Post],
    taken: Sequence[Taken],
    stored: Stored,
    disruptions: Sequence[float],
    *,
    paused: Collection[str] = (),
    note: str = "",
) -> Verdict:
    """The verdict. `disruptions` are moments (`time.monotonic`) across which an answer may have been lost."""
    arrived = {(one.call, one.kind, one.connector) for one in taken}
    delivered = kept = lost = 0
    for post in accepted:
        missing = [one for one in _wanted(post) if one not in arrived]
        states = [stored.states.get(one) for one in missing]
        seen = [
            state in SEEN_BY_OPERATORS or (state == "pending" and one[2] in paused)
            for one, state in zip(missing, states, strict=True)
        ]
        delivered += not missing
        kept += bool(missing) and all(seen)
        lost += not all(seen)
    repeats = list(_repeats(taken))
    unexplained = [pair for pair in repeats if not any(pair[0].at <= at <= pair[1].at for at in disruptions)]
    wrong = [
        *(f"call {call} has {count} endings" for call, count in stored.endings.items() if call and count > 1),
        *(f"{one.kind} of {one.call} came twice to {one.connector} for no reason" for one, _ in unexplained),
        *(f"{delivery} was recorded as delivered twice" for delivery in stored.recorded_twice),
        *_disorder(accepted, taken),
    ]
    return Verdict(fault, len(accepted), delivered, kept, lost, len(repeats), wrong, note)


def _wanted(post: Post) -> Iterator[tuple[str, str, str]]:
    yield post.call, post.kind, "everything"
    if post.ends_missed:
        yield post.call, post.kind, "missed"


def _repeats(taken: Iterable[Taken]) -> Iterator[tuple[Taken, Taken]]:
    """Each delivery that came again, with the one before."""
    by_delivery: dict[tuple[str, str], list[Taken]] = defaultdict(list)
    for one in taken:
        by_delivery[one.connector, one.event_id].append(one)
    for same in by_delivery.values():
        yield from pairwise(same)


def _disorder(accepted: Sequence[Post], taken: Sequence[Taken]) -> Iterator[str]:
    position = {(post.call, post.kind): number for number, post in enumerate(accepted)}
    latest: dict[tuple[str, str], int] = {}
    for one in taken:
        if (place := position.get((one.call, one.kind))) is not None:
            if place < latest.get((one.connector, one.call), -1):
                yield f"{one.kind} of {one.call} came to {one.connector} after what followed it"
            latest[one.connector, one.call] = max(place, latest.get((one.connector, one.call), -1))
