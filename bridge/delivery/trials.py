"""Trials: after a crash, what was under way is tried again one at a time, so that the one which did it is found.

Failure policy: meanwhile the connectors concerned take nothing else, and the others go on as ever. A delivery with
which the process has died alone `MOST_KILLS` times is dead.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping

from bridge.delivery.lane import Lane
from bridge.delivery.recorder import FlightRecorder, Suspect
from bridge.health import Place
from bridge.store import Store

MOST_KILLS = 3

_log = logging.getLogger("callbridge.delivery")


class Trials:
    """Of one process, driven by its dispatcher."""

    def __init__(
        self,
        store: Store,
        token: str,
        lanes: Mapping[Place, Lane],
        recorder: FlightRecorder,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._token = token
        self._lanes = lanes
        self._recorder = recorder
        self._clock = clock
        self._waiting: deque[tuple[Place, Suspect]] = deque()
        self._tried: Place | None = None

    def begin(self) -> None:
        """See whom the process before this one died with, and hold their lanes."""
        suspects = self._recorder.take_over()
        places = self._store.places_of([suspect.id for suspect in suspects])
        for suspect in suspects:
            if (place := places.get(suspect.id)) in self._lanes and place is not None:
                self._waiting.append((place, suspect))
                self._lanes[place].is_held = True
            else:
                self._recorder.acquit(suspect.id)
        if self._waiting:
            _log.error("the process died while it delivered: %d are tried again one at a time", len(self._waiting))

    def ended(self, place: Place) -> bool:
        """A lane has done something; whether it was the trial that is now over."""
        if place != self._tried:
            return False
        self._recorder.try_alone(None)
        self._tried = None
        return True

    def proceed(self) -> set[Place]:
        """Try the next one, unless one is still being tried; returns whose lanes are held no more."""
        while self._waiting and self._tried is None:
            self._try(*self._waiting[0])
            self._waiting.popleft()
        concerned = {place for place, _ in self._waiting} | {self._tried}
        freed = {place for place, lane in self._lanes.items() if lane.is_held and place not in concerned}
        for place in freed:
            self._lanes[place].is_held = False
        return freed

    def _try(self, place: Place, suspect: Suspect) -> None:
        lane = self._lanes[place]
        claim = self._store.claim_one(suspect.id, self._token, lane.lease_seconds)
        if claim is None:  # somebody else has it, or has ended it
            self._recorder.acquit(suspect.id)
        elif suspect.kills >= MOST_KILLS:
            lane.bury(claim, f"the process died {suspect.kills} times while this alone was tried: its plugin ends it")
            self._recorder.acquit(suspect.id)
        else:
            self._tried = place
            self._recorder.try_alone(suspect.id)
            lane.push([claim], fresh=True)
