"""What a monitor asks: is the process up (`/healthz`), does the bridge do its work (`/readyz`), `/metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, jsonify, request

from bridge.clients import find_client
from bridge.connectors import connector_state
from bridge.delivery.dispatcher import Dispatcher
from bridge.errors import StoreError
from bridge.metrics import Metrics
from bridge.plugins import LoadedConnector
from bridge.settings import Settings
from bridge.store import Store, queries

WRITE_TIMEOUT = 3.0
"""Seconds the store may take to write the heartbeat before it counts as not writable."""


class Monitoring:
    """Answers monitors. Details are for `server.monitor_from` alone."""

    def __init__(
        self,
        settings: Settings,
        connectors: Mapping[str, LoadedConnector],
        failed_directories: Mapping[str, str],
        store: Store,
        dispatcher: Dispatcher,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._connectors = connectors
        self._failed_directories = failed_directories
        self._store = store
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._clock = clock

    def blueprint(self) -> Blueprint:
        """The routes."""
        routes = Blueprint("monitoring", __name__)
        routes.add_url_rule("/healthz", view_func=lambda: Response("ok", mimetype="text/plain"), endpoint="healthz")
        routes.add_url_rule("/readyz", view_func=self._readyz, endpoint="readyz")
        routes.add_url_rule("/metrics", view_func=self._scrape, endpoint="metrics")
        return routes

    def _may_see(self) -> bool:
        client = find_client(request.environ, self._settings.server.trusted_proxies)
        # Behind a proxy that nobody named, the whole world comes from the proxy's address.
        return not client.hidden and client.is_within(self._settings.server.monitor_from)

    def _readyz(self) -> tuple[Response, int]:
        late = self._why_late()
        # What made the last transaction fail says more than that this one is late.
        reasons = [reason for reason in (self._store.trouble or late, self._dispatcher.trouble()) if reason]
        status = {"status": "unready" if reasons else "ready"}
        code = 503 if reasons else 200
        if not self._may_see():
            return jsonify(status), code
        # Failure policy: a monitor does not wait for what does not answer.
        asks_store = late is None or self._store.reads_at_once
        return jsonify(status | {"reasons": reasons} | self._details(asks_store=asks_store)), code

    def _why_late(self) -> str | None:
        """Why the store does not take the heartbeat; None where it does."""
        try:
            self._store.beat(WRITE_TIMEOUT)
        except StoreError as error:
            return str(error)
        return None

    def _details(self, *, asks_store: bool) -> dict[str, Any]:
        sources, healths = {}, {}
        with suppress(StoreError):
            if asks_store:
                with self._store.reading() as connection:
                    sources = queries.sources(connection)
                healths = self._store.healths()
        now = self._clock()
        warnings = contradiction_warnings(sources)
        if self._settings.intake.open and not self._settings.intake.tokens:
            warnings.append("intake.open: posts are taken without a token")
        states = {name: connector_state(connector, healths, now) for name, connector in self._connectors.items()}
        return {
            "sources": {
                name: {"last_event_at": queries.iso(sources.get(name, {}).get("last_event_at"))}
                for name in self._settings.sources
            },
            **{
                state: {name: reason for name, (known, reason) in states.items() if known == state}
                for state in ("failed", "paused", "open")
            },
            "hung": sorted({lane.name for lane in self._dispatcher.lanes() if lane.is_hung}),
            "failed_directories": dict(self._failed_directories),
            "warnings": warnings,
        }

    def _scrape(self) -> Response:
        if not self._may_see():
            return Response("only for server.monitor_from", status=403, mimetype="text/plain")
        if not self._store.reads_at_once and (late := self._why_late()):
            return Response(late, status=503, mimetype="text/plain")
        try:
            with self._store.reading() as connection:
                waiting = queries.waiting(connection, self._connectors)
            healths = self._store.healths()
        except StoreError as error:
            return Response(str(error), status=503, mimetype="text/plain")
        now = self._clock()
        for name, connector in self._connectors.items():
            state, _ = connector_state(connector, healths, now)
            self._metrics.waiting.labels(name).set(waiting.get(name, 0))
            self._metrics.stopped.labels(name).set(state != "active")
        return Response(self._metrics.render(), content_type="text/plain; version=0.0.4; charset=utf-8")


def contradiction_warnings(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What to tell the operator of sources whose `answered` flag contradicts the evidence."""
    return [
        f"sources.{name}: the PBX's answered flag contradicted the evidence {row['contradictions']} times, "
        f"last at {queries.iso(row['contradicted_at'])}: {row['contradiction_hint'] or 'look at the raw forms'}"
        for name, row in sorted(sources.items())
        if row["contradictions"]
    ]
