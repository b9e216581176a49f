"""The receiver: records every delivery it takes, and misbehaves as it is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bridge.testing import Answer, Arrival, RecordingSink

Behaviour = Callable[[Arrival], Answer]


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that was answered 200: to which connector, of which event, and when (`time.monotonic`)."""

    at: float
    connector: str
    call: str
    kind: str
    event_id: str
    event_type: str


def well_behaved(_arrival: Arrival) -> Answer:
    return Answer()


class Sink:
    """Takes deliveries at `url`/CONNECTOR. `behave` says what is answered; it is asked for one at a time."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.behave: Behaviour = well_behaved
        self._server = RecordingSink()
        self._server.answer_with(self._answer)
        self.url = self._server.url

    def close(self) -> None:
        """Stop the server."""
        self._server.close()

    def of(self, connector: str) -> list[Taken]:
        """What one connector has brought."""
        return [one for one in list(self.taken) if one.connector == connector]

    def _answer(self, arrival: Arrival) -> Answer:
        self._server.arrivals.clear()  # what is remembered of them is in `taken`
        answer = self.behave(arrival)
        if answer.status == 200:
            event = arrival.json()
            raw = event["data"].get("raw") or {}
            self.taken.append(
                Taken(
                    time.monotonic(),
                    arrival.path.strip("/"),
                    raw.get("call_uuid", ""),
                    raw.get("event_type", ""),
                    arrival.headers["webhook-id"],
                    event["type"],
                )
            )
        return answer


def refusing_first(status: int, when: Callable[[Arrival], bool] = lambda _: True) -> Behaviour:
    """Refuse the first try of each delivery with `status`."""
    seen: set[tuple[str, str]] = set()

    def behave(arrival: Arrival) -> Answer:
        key = (arrival.path, arrival.headers["webhook-id"])
        if key in seen or not when(arrival):
            return Answer()
        seen.add(key)
        return Answer(status)

    return behave
