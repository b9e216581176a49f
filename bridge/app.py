"""The bridge, put together: `Bridge` holds the parts and runs them, `create_app` makes the Flask application of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from bridge.contacts import Directories
from bridge.delivery.dispatcher import Dispatcher, leasing
from bridge.delivery.lane import Lane
from bridge.errors import SettingsError
from bridge.intake import Intake
from bridge.interpret import Interpreter
from bridge.metrics import Metrics
from bridge.monitoring import Monitoring
from bridge.plugins import LoadedConnector, Plugins, load_plugins
from bridge.redaction import Redactor
from bridge.routing import Router
from bridge.settings import Settings, secrets_of
from bridge.silence import SilenceWatch
from bridge.store import Accepted, Database, Store
from bridge.store.leases import new_token

HOOK_SECONDS = 5.0
"""Seconds `bridge_start` and `bridge_stop` may take: one that hangs must not hold the others up."""

_log = logging.getLogger("callbridge")


class Bridge:
    """The parts of one serving process, made in that process. Nothing runs before `start`.

    Raises SettingsError where a source is broken, or, with `strict`, anything at all.
    """

    def __init__(self, settings: Settings, redactor: Redactor, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.plugins = load_plugins(settings)
        if settings.strict and self.plugins.faults:
            raise SettingsError(self.plugins.faults)
        redactor.add(self.plugins.secrets | secrets_of(settings))
        self.metrics = Metrics()
        regions = {name: source.region for name, source in settings.sources.items()}
        router = Router(tuple(self.plugins.connectors.values()), regions)
        self.database = Database(settings.store.url)
        lanes: dict[str, Lane] = {}
        token = new_token()
        self.store = Store(
            self.database,
            Interpreter(settings.locale, settings.intake.duplicate_window),
            router.owed,
            leasing=leasing(token, lanes),
            clock=clock,
        )
        limits = {name: source.silence for name, source in settings.sources.items() if source.silence is not None}
        silence = SilenceWatch(self.store, limits, clock)
        self.dispatcher = Dispatcher(self.store, token, lanes, _ages(self.plugins), [silence.look], clock)
        directories = Directories.of(self.plugins)
        for name, connector in self.plugins.connectors.items():
            deliver = self.plugins.caller("connectors", name, "bridge_deliver")
            if connector.error is None and deliver is not None:
                lanes[name] = Lane(
                    connector,
                    deliver,
                    self.store,
                    directories,
                    redactor.clean,
                    self.dispatcher.done,
                    self.metrics.observe_attempt,
                    clock,
                )

    def start(self) -> None:
        """Open the store and begin to deliver. Raises StoreError where the store cannot be used."""
        self.database.migrate_apart()
        self.store.start(
            tuple(self.plugins.sources), tuple(self.plugins.connectors), self.dispatcher.notice_foreign_write
        )
        for name, directory in self.plugins.directories.items():
            if directory.error is not None:
                _log.error("directory %s failed, nobody is looked up there: %s", name, directory.error)
            else:
                self._call_hook("directories", name, "bridge_start")
        for name, connector in self.plugins.connectors.items():
            if connector.error is not None:
                _log.error("connector %s failed, its deliveries wait: %s", name, connector.error)
            else:
                self.store.split_targets(name, connector.targets)
                self._call_hook("connectors", name, "bridge_start")
        self.dispatcher.start()
        self._say_who_may_post()

    def hand_over(self, accepted: Accepted) -> None:
        """Deliver what was leased to this process as it was stored; wake up for the rest."""
        self.dispatcher.take(accepted.dues.claims)
        self.dispatcher.nudge(accepted.dues.waiting)

    def drain(self, seconds: float) -> None:
        """Deliver no more: calls under way may end within `seconds`, the rest is given back. Posts are still taken."""
        self.dispatcher.stop(seconds)
        for name, connector in self.plugins.connectors.items():
            if connector.error is None:
                self._call_hook("connectors", name, "bridge_stop")
        for name, directory in self.plugins.directories.items():
            if directory.error is None:
                self._call_hook("directories", name, "bridge_stop")

    def close(self) -> None:
        """Close the store, after the last post."""
        self.store.stop()

    def _say_who_may_post(self) -> None:
        if self.settings.intake.tokens:
            return
        if self.settings.server.on_loopback:
            _log.warning("no token is configured: only this machine can post (intake.tokens)")
        else:
            _log.warning("intake.open: anybody who reaches the bridge can post")

    def _call_hook(self, role: str, name: str, hook: str) -> None:
        """Call a hook of a connector or a directory, for so long and no longer.

        Failure policy: what it raises is logged. A connector that could not start says more when it is asked to
        deliver.
        """
        call = self.plugins.caller(role, name, hook)
        if call is None:
            return

        def guarded() -> None:
            try:
                call()
            except BaseException:  # noqa: BLE001  # a plugin may raise anything
                _log.exception("%s.%s: %s failed", role, name, hook)

        thread = threading.Thread(target=guarded, name=f"{hook}-{name}", daemon=True)
        thread.start()
        thread.join(HOOK_SECONDS)
        if thread.is_alive():
            _log.error("%s.%s: %s did not return within %.0f s", role, name, hook, HOOK_SECONDS)


def create_app(bridge: Bridge) -> Flask:
    """The web application of a bridge."""
    app = Flask("bridge", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect passes the PBX's probe and loses its events
    failed = {name: one.error for name, one in bridge.plugins.directories.items() if one.error is not None}
    settings, plugins, store = bridge.settings, bridge.plugins, bridge.store
    intake = Intake(settings, plugins.sources, store, bridge.hand_over, bridge.metrics, bridge.clock)
    monitoring = Monitoring(
        settings, plugins.connectors, failed, store, bridge.dispatcher, bridge.metrics, bridge.clock
    )
    app.register_blueprint(intake.blueprint())
    app.register_blueprint(monitoring.blueprint())
    app.register_error_handler(HTTPException, _as_text)
    return app


def _as_text(error: HTTPException) -> Response:
    """Errors are read in the PBX's log: one line of text, and nothing of the URL, which may hold a token."""
    response = Response(error.name.lower(), status=error.code, mimetype="text/plain")
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _ages(plugins: Plugins) -> dict[str, float]:
    """The `max_age` of each connector; of a failed one only what the config says, as its kind may not be known."""

    def age(connector: LoadedConnector) -> float | None:
        return connector.policy.max_age if connector.kind is not None else connector.settings.max_age

    return {name: limit for name, one in plugins.connectors.items() if (limit := age(one)) is not None}
