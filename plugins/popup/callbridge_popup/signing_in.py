"""Signing in: by a link, or by an extension and its PIN; and whom a request is from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from flask import Request

from bridge import Feed
from callbridge_popup.attempts import Attempts
from callbridge_popup.grants import Grant, end_of_session, has_pin, new_session
from callbridge_popup.hub import SESSIONS, Hub

COOKIE = "callbridge_popup"
SESSION_SECONDS = 30 * 24 * 3600
LONGEST_EXTENSION = 20
LONGEST_PIN = 40
"""Characters."""
PATIENCE = 2.0
"""Seconds a PIN waits until others have been checked: the threads of the pages are for more than PINs."""


class Refused(Exception):
    """Not signed in; `retry_after` is how many seconds to wait where there were too many tries."""

    def __init__(self, retry_after: float = 0.0) -> None:
        super().__init__("not signed in")
        self.retry_after = retry_after


class SigningIn:
    """Signs agents in and out. Sessions are in the feed, so that they hold in every process and over restarts."""

    def __init__(
        self, hub: Hub, feed: Feed, attempts: Attempts | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._hub = hub
        self._feed = feed
        self._attempts = attempts or Attempts()
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    def agent(self, request: Request) -> Grant | None:
        """Whom a request is from: by its session, or by the token of a program (`Authorization: Bearer`, `?token=`)."""
        login = request.authorization
        token = login.token if login is not None and login.type == "bearer" else request.args.get("token")
        if token:
            return self._hub.grant_of_token(token)
        session = session_of(request)
        return self._hub.grant_of_session(session) if session else None

    def by_link(self, token: str) -> str:
        """The new session of whoever has the link. Raises `Refused`; BridgeError where it cannot be kept now."""
        grant = self._hub.grant_of_token(token)
        if grant is None:
            raise Refused
        return self._begin(grant)

    def by_pin(self, address: str, extension: str, pin: str) -> str:
        """The new session of whoever knows the PIN; `address` is where the request is from.

        An extension nobody is granted is counted, checked and refused like any other, and takes as long. Raises
        `Refused`; BridgeError where the session cannot be kept now.
        """
        if not (0 < len(extension) <= LONGEST_EXTENSION and 0 < len(pin) <= LONGEST_PIN):
            raise Refused
        if not self._one_at_a_time.acquire(timeout=PATIENCE):
            raise Refused(PATIENCE)
        try:
            if wait := self._attempts.begin(address, extension):
                raise Refused(wait)
            right = [grant for grant in self._hub.sign_in_candidates(extension) if has_pin(grant, pin)]
        finally:
            self._one_at_a_time.release()
        grant = next((grant for grant in right if grant is not None), None)
        if grant is None:
            raise Refused
        self._attempts.succeeded(address, extension)
        return self._begin(grant)

    def sign_out(self, request: Request) -> None:
        """End the session of a request. Raises BridgeError where that cannot be kept now."""
        if session := session_of(request):
            self._feed.publish(SESSIONS, end_of_session(session), keep=SESSION_SECONDS)

    def _begin(self, grant: Grant) -> str:
        item, secret = new_session(grant, self._clock() + SESSION_SECONDS)
        self._feed.publish(SESSIONS, item, keep=SESSION_SECONDS)
        self._hub.catch_up()  # the browser is about to come with it
        return secret


def session_of(request: Request) -> str | None:
    """The session a browser sends along."""
    return request.cookies.get(COOKIE)
