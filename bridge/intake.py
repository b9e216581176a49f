"""The webhook endpoint: know the sender, read the form, keep it, answer.

200 means that it is on disk. No connector's code runs here.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from bridge.clients import find_client
from bridge.errors import StoreError, Unreadable
from bridge.forms import digest, read_fields
from bridge.interpret import Arrival, SourceView
from bridge.metrics import Metrics
from bridge.model import Fields, Post, Reading
from bridge.plugins import LoadedSource
from bridge.promises import Promised, Tell
from bridge.redaction import SHORTEST
from bridge.settings import Settings
from bridge.store import Accepted, Aside, Store
from bridge.strangers import WrongTokens

LARGEST_BODY = 64 * 1024
"""Bytes. A form of the PBX is under one KiB."""

_log = logging.getLogger("callbridge.intake")


class _Refused(Exception):
    """A post that is not taken: its HTTP status, one line of text, and further headers. `aside` is what is kept of it
    before it is answered."""

    def __init__(
        self, status: int, text: str, headers: Mapping[str, str] | None = None, aside: Aside | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}
        self.aside = aside


class Intake:
    """Takes the posts of the configured sources. `hand_over` gets what was accepted, after the commit; `clean` removes
    secrets from what is kept aside."""

    def __init__(
        self,
        settings: Settings,
        sources: Mapping[str, LoadedSource],
        store: Store,
        hand_over: Callable[[Accepted], None],
        metrics: Metrics,
        clean: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tuple(token.get_secret_value().encode() for token in settings.intake.tokens)
        self._allow_from = settings.intake.allow_from
        self._trusted_proxies = settings.server.trusted_proxies
        self._sources = sources
        self._views = {
            name: SourceView(name, one.settings.region, one.settings.timezone, one.source.cause_text)
            for name, one in sources.items()
        }
        self._store = store
        self._hand_over = hand_over
        self._metrics = metrics
        self._clean = clean
        self._clock = clock
        self._wrong_tokens = WrongTokens(settings.intake.wrong_tokens)
        # In a form they would be kept with it.
        self._unwanted = tuple(token.decode() for token in self._tokens if len(token) >= SHORTEST)

    def blueprint(self) -> Blueprint:
        """The routes."""
        routes = Blueprint("intake", __name__)
        for rule in ("/event", "/event/<first>", "/event/<first>/<second>"):
            routes.add_url_rule(rule, view_func=self._post, methods=["POST"], strict_slashes=False)
        return routes

    def _post(self, first: str | None = None, second: str | None = None) -> Response:
        source = first if second is not None or first in self._sources else None
        try:
            self._admit(second if second is not None else (first if source is None else None))
            return self._take(source)
        except _Refused as refused:
            return self._refuse(source, refused)

    def _admit(self, path_token: str | None) -> None:
        """Let in who comes from where he may and knows a token."""
        if self._allow_from and not find_client(request.environ, self._trusted_proxies).is_within(self._allow_from):
            raise _Refused(403, "posts are not taken from this address")
        if not self._tokens or (path_token and self._is_token(path_token)):
            return
        login = request.authorization
        presented = [request.args.get("token"), login.password if login and login.type == "basic" else None]
        if not max([self._is_token(one) for one in presented if one], default=False):  # all of them, always
            raise self._stranger(any([path_token, *presented]))

    def _stranger(self, has_guessed: bool) -> _Refused:
        """What somebody is told who knows no token. One who knows it is let in before, whatever others from the same
        address have tried."""
        client = find_client(request.environ, self._trusted_proxies)
        wait = self._wrong_tokens.note(client.address) if has_guessed else None
        if wait is not None:
            return _Refused(429, "too many wrong tokens", {"Retry-After": str(wait)})
        return _Refused(401, "the token is missing or wrong", {"WWW-Authenticate": 'Basic realm="callbridge"'})

    def _is_token(self, presented: str) -> bool:
        given = presented.encode("utf-8", "surrogateescape")
        return max([hmac.compare_digest(given, token) for token in self._tokens])  # all of them, always

    def _take(self, source_name: str | None) -> Response:
        received_at = datetime.fromtimestamp(self._clock(), UTC)
        body = self._body()
        content_type = request.environ.get("CONTENT_TYPE", "")
        fields = read_fields(body, content_type)
        source = self._source(source_name, received_at, fields or body)
        post = Post(fields=fields, body=body, content_type=content_type, received_at=received_at)
        reading = self._read(source, post)
        if reading is None:
            self._count(source.name, "probe")
            return _answer(200, "ok")
        reading = self._without_tokens(reading)
        arrival = Arrival(self._views[source.name], reading, digest(fields, body), received_at)
        return Promised(reading.call_id, lambda tell: self._keep(arrival, post, tell), mimetype="text/plain")

    def _without_tokens(self, reading: Reading) -> Reading:
        """The reading without the tokens that somebody has put into the form: they are not to be kept."""
        values = (value if isinstance(value, str) else "\n".join(value) for value in reading.raw.values())
        text = "\n".join((*reading.raw, *values))
        if not any(token in text for token in self._unwanted):
            return reading
        return replace(reading, raw=_cleaned(reading.raw, self._clean))

    def _body(self) -> bytes:
        # Straight from the server, which ends the stream where the body ends: werkzeug's own reader is a good part of
        # what a post costs. One byte more than the limit tells a body that is too large and came without its length.
        length = request.content_length
        stream = request.environ["wsgi.input"]
        most = LARGEST_BODY + 1 if length is None else length
        body = bytearray()
        while len(body) < most <= LARGEST_BODY + 1 and (piece := stream.read(most - len(body))):
            body += piece
        if max(length or 0, len(body)) > LARGEST_BODY:
            raise _Refused(413, f"the body is larger than {LARGEST_BODY // 1024} KiB")
        if length is not None and len(body) < length:
            raise _Refused(400, "the body broke off")
        return bytes(body)

    def _source(self, name: str | None, received_at: datetime, raw: Fields | bytes) -> LoadedSource:
        if name is None and len(self._sources) == 1:
            return next(iter(self._sources.values()))
        if name is not None and name in self._sources:
            return self._sources[name]
        known = ", ".join(f"/event/{one}/…" for one in sorted(self._sources))
        if name is None:
            status, text = 400, f"which source? Post to one of {known}"
        else:
            status, text = 404, f"there is no such source; there are {known}"
        raise _Refused(status, text, aside=self._aside(received_at, None, text, raw))

    def _read(self, source: LoadedSource, post: Post) -> Reading | None:
        # Failure policy: nobody sends a post again, so what cannot be read is kept in the quarantine.
        try:
            return source.source.read(post)
        except Unreadable as error:
            aside = self._aside(post.received_at, source.name, str(error), post.fields or post.body)
            raise _Refused(400, str(error), aside=aside) from error
        except Exception as error:
            raise self._plugin_failed(source.name, post, error) from error

    def _keep(self, arrival: Arrival, post: Post, tell: Tell) -> None:
        """Keep the arrival, and tell when it is on disk or why it is not."""
        source, began = arrival.source.name, time.perf_counter()

        def conclude(said: Accepted | Exception) -> None:
            self._metrics.accept_seconds.observe(time.perf_counter() - began)
            if isinstance(said, Accepted):
                self._note(source, said)
                tell(None)
                self._hand_over(said)
            elif isinstance(said, StoreError):
                tell(self._refusal(source, self._not_storable(said)))
            else:  # what the plugin read is not what a reading must be
                self._put_aside(source, self._plugin_failed(source, post, said), tell)

        self._store.accept(arrival, conclude)

    def _plugin_failed(self, source: str, post: Post, error: Exception) -> _Refused:
        _log.error("source %s failed to read a post", source, exc_info=error)
        reason = f"the source plugin failed: {type(error).__name__}: {error}"
        aside = self._aside(post.received_at, source, reason, post.fields or post.body)
        return _Refused(500, "the post could not be read; it is kept in the quarantine", aside=aside)

    def _aside(self, received_at: datetime, source: str | None, reason: str, raw: Fields | bytes) -> Aside:
        text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
        kept = self._clean(text) if isinstance(text, str) else _cleaned(text, self._clean)
        return Aside(received_at, source, self._clean(reason), kept)

    def _refuse(self, source: str | None, refused: _Refused) -> Response:
        if refused.aside is None:
            return self._refusal(source, refused)
        return Promised("", lambda tell: self._put_aside(source, refused, tell))

    def _put_aside(self, source: str | None, refused: _Refused, tell: Tell) -> None:
        """Keep in the quarantine what is refused, then tell so."""

        def conclude(said: Exception | None) -> None:
            tell(self._refusal(source, refused if said is None else self._not_storable(said)))

        if refused.aside is not None:
            self._store.keep_aside(refused.aside, conclude)

    def _not_storable(self, error: Exception) -> _Refused:
        # Failure policy: never a 200 for what is not on disk. The PBX does not ask again, but its log shows the 503.
        _log.error("a post could not be stored: %s", error)
        return _Refused(503, "the call event cannot be stored right now")

    def _refusal(self, source: str | None, refused: _Refused) -> Response:
        self._count(source, str(refused.status))
        response = _answer(refused.status, refused.text)
        response.headers.update(refused.headers)
        return response

    def _note(self, source: str, accepted: Accepted) -> None:
        if accepted.event is None:
            self._count(source, "repeat")
            return
        self._count(source, "kept")
        self._metrics.events.labels(source, accepted.event.type).inc()
        if accepted.contradiction:
            self._metrics.contradictions.labels(source).inc()
        _log.debug("%s of call %s", accepted.event.type, accepted.event.call and accepted.event.call.id)

    def _count(self, source: str | None, result: str) -> None:
        # A source's name from the path is the sender's word: only known ones become a label.
        self._metrics.posts.labels(source if source in self._sources else "", result).inc()


def _cleaned(fields: Fields, clean: Callable[[str], str]) -> Fields:
    return {
        clean(name): clean(value) if isinstance(value, str) else [clean(one) for one in value]
        for name, value in fields.items()
    }


def _answer(status: int, text: str) -> Response:
    return Response(text, status=status, mimetype="text/plain")
