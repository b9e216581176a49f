"""The PBX: callers that post one call after the other, and remember what was answered 200."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import requests
from urllib3.exceptions import NewConnectionError

FORM = {
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "destination_number": "1001",
    "dialed_user": "1001",
    "start_stamp": "2026-11-24 09:00:00",
}
ANSWERED = {"connected_user": "1001", "answer_stamp": "2026-11-24 09:00:05"}
MISSED = {"connected_user": "", "answer_stamp": "", "hangup_cause": "ORIGINATOR_CANCEL"}

NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Post:
    """A post that was answered 200: the event `kind` of a call, whether it ends one that nobody took, and when it was
    posted (`time.monotonic`)."""

    call: str
    kind: str
    ends_missed: bool = False
    at: float = 0.0


def forms_of(call: str, *, missed: bool) -> list[dict[str, str]]:
    """What the PBX posts of one call."""
    form = FORM | {"call_uuid": call}
    ringing, hangup = form | {"event_type": "ringing"}, form | {"event_type": "hangup"}
    if missed:
        return [ringing, hangup | MISSED | {"answered": "false"}]
    return [ringing, form | ANSWERED | {"event_type": "answered"}, hangup | ANSWERED | {"answered": "true"}]


class Load:
    """`callers` at the same time, each of which waits `pause` seconds after every post.

    As the PBX does, they post nothing twice: what is refused is gone, and the call goes on. With several `urls` they
    post as through a proxy: each post goes to the next one by a connection of its own, and on to another where nobody
    listens.
    """

    def __init__(self, urls: Sequence[str], callers: int = 2, pause: float = 0.01, *, name: str = "call") -> None:
        self.accepted: list[Post] = []
        self.answers: Counter[int] = Counter()
        self.seconds: list[float] = []
        self._urls = urls
        self._pause = pause
        self._name = name
        self._numbers = itertools.count()
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]

    def start(self) -> None:
        """Begin to post."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, between two posts."""
        self._over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def play(self, calls: int) -> None:
        """Post so many whole calls now, one after the other."""
        with requests.Session() as session:
            for _ in range(calls):
                self._play(session)

    def _call(self) -> None:
        with requests.Session() as session:
            if len(self._urls) > 1:
                session.headers["Connection"] = "close"
            while not self._over.is_set():
                self._play(session)

    def _play(self, session: requests.Session) -> None:
        with self._lock:
            number = next(self._numbers)
        for form in forms_of(f"{self._name}-{number}", missed=number % 2 == 0):
            began = monotonic()
            status = self._post(session, form)
            with self._lock:
                self.answers[status] += 1
                self.seconds.append(monotonic() - began)
                if status == 200:
                    missed = form.get("answered") == "false"
                    self.accepted.append(Post(form["call_uuid"], form["event_type"], missed, began))
            self._over.wait(self._pause if status == 200 else 0.05)

    def _post(self, session: requests.Session, form: dict[str, str]) -> int:
        turn = next(self._turns)
        for number in range(len(self._urls)):
            try:
                return session.post(self._urls[(turn + number) % len(self._urls)], data=form, timeout=30).status_code
            except requests.ConnectionError as error:
                if not _is_refused(error):
                    break
            except requests.RequestException:
                break
        return NO_ANSWER


def _is_refused(error: requests.ConnectionError) -> bool:
    """Whether nothing was sent, as nobody listens."""
    return bool(error.args) and isinstance(getattr(error.args[0], "reason", None), NewConnectionError)
