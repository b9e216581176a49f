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
from bridge.delivery.recorder import FlightRecorder
from bridge.duty import ALL, Duty
from bridge.errors import SettingsError
from bridge.headers import with_headers
from bridge.health import Place
from bridge.intake import Intake
from bridge.interpret import Interpreter
from bridge.metrics import Metrics
from bridge.monitoring import Monitoring
from bridge.pages import Mounts, Pages
from bridge.plugins import LoadedConnector, Plugins, load_plugins
from bridge.redaction import Redactor
from bridge.retention import Retention
from bridge.routing import Router
from bridge.services import Services
from bridge.settings import Settings, secrets_of
from bridge.silence import SilenceWatch
from bridge.store import Accepted, Database, Store, uptime
from bridge.store.dialects import DUE, PUBLISHED
from bridge.store.feeds import Feeds, StoreHistory
from bridge.store.leases import new_token

HOOK_SECONDS = 5.0
"""Seconds `bridge_start` and `bridge_stop` may take: one that hangs must not hold the others up."""
LEAST_HOOK_SECONDS = 0.5
"""Seconds `bridge_stop` gets in any case, also where the deliveries under way have used up the time."""

_log = logging.getLogger("callbridge")


class Bridge:
    """The parts of one serving process, made in that process. Nothing runs before `start`.

    Raises SettingsError where a source is broken, or, with `strict`, anything at all.
    """

    def __init__(
        self,
        settings: Settings,
        redactor: Redactor,
        clock: Callable[[], float] = time.time,
        duty: Duty = ALL,
        recorder: FlightRecorder | None = None,
    ) -> None:
        self.settings = settings
        self.duty = duty
        self.recorder = recorder or FlightRecorder()
        self.stopping = threading.Event()
        self.database = Database(settings.store.url.get_secret_value())
        self.clock = clock = self.database.clock or clock
        lanes: dict[Place, Lane] = {}
        token = new_token()
        # The store is made before the connectors, which get feeds in it: it is told later whom events are owed to.
        self.store = Store(
            self.database,
            Interpreter(settings.locale, settings.intake.duplicate_window),
            lambda event: router.owed(event),
            leasing=leasing(token, lanes),
            clock=clock,
            timezone=next(iter(settings.sources.values())).timezone,
        )
        self.feeds = Feeds(self.store, clock, is_told=True)
        directories = Directories(())
        self.plugins = load_plugins(settings, Services(StoreHistory(self.store), self.feeds.of, directories))
        if settings.strict and self.plugins.faults:
            raise SettingsError(self.plugins.faults)
        directories.use(self.plugins)
        redactor.add(self.plugins.secrets | secrets_of(settings))
        self.clean = redactor.clean
        self.failed_directories: dict[str, str] = {}
        """Why a directory could not be loaded or started."""
        self.metrics = Metrics()
        regions = {name: source.region for name, source in settings.sources.items()}
        router = Router(tuple(self.plugins.connectors.values()), regions)
        limits = {name: source.silence for name, source in settings.sources.items() if source.silence is not None}
        self.silence = SilenceWatch(self.store, limits, clock)
        retention = Retention(self.store, settings.privacy.retention, clock)
        tasks = [self.silence.look, retention.look, self.feeds.sweep]
        ages = _ages(self.plugins)
        self.dispatcher = Dispatcher(
            self.store, token, lanes, ages, tasks, clock, recorder=self.recorder, uptime=uptime
        )
        for name, connector in self.plugins.connectors.items():
            deliver = self.plugins.caller("connectors", name, "bridge_deliver")
            if connector.error is None and deliver is not None and duty.delivers_to(name):
                lanes |= {
                    place: Lane(
                        connector,
                        place[1],
                        deliver,
                        self.store,
                        directories,
                        redactor.clean,
                        self.dispatcher.done,
                        self.metrics.observe_attempt,
                        clock,
                        is_masked=settings.privacy.masks(name),
                        recorder=self.recorder,
                    )
                    for place in connector.places
                }

    def start(self, then: Callable[[], None] = lambda: None) -> None:
        """Open the store, and begin to deliver `then`. Raises StoreError where the store cannot be used."""
        self.database.refuse_damaged()
        self.database.migrate_apart()
        places = [place for connector in self.plugins.connectors.values() for place in connector.places]
        self.store.start(tuple(self.plugins.sources), places, self._hear)
        self.silence.start()
        failed = self._call_hooks("bridge_start")
        for name, directory in self.plugins.directories.items():
            if error := directory.error or failed.get(("directories", name)):
                self.failed_directories[name] = error
                _log.error("directory %s failed: %s", name, error)
        for name, connector in self.plugins.connectors.items():
            if error := connector.error or failed.get(("connectors", name)):
                _log.error("connector %s failed, its deliveries wait: %s", name, error)
            if connector.error is None and self.duty.delivers_to(name):
                self.store.settle_targets(name, connector.targets)
                self.store.note_start(name, failed.get(("connectors", name)))
        then()
        self.dispatcher.start()
        if self.duty.takes_posts:
            self._say_who_may_post()

    def hand_over(self, accepted: Accepted) -> None:
        """Deliver what was leased to this process as it was stored; wake up for the rest."""
        self.dispatcher.take(accepted.dues.claims)
        self.dispatcher.nudge(accepted.dues.waiting)

    @property
    def threads_for_pages(self) -> int:
        """Threads the pages of all connectors may take at the same time."""
        return sum(pages.threads for pages in self.pages)

    @property
    def pages(self) -> list[Pages]:
        """The pages of connectors that this process serves."""
        return [
            one.pages for one in self.plugins.connectors.values() if one.pages is not None and self.duty.takes_posts
        ]

    def drain(self, seconds: float) -> None:
        """Deliver no more: calls under way may end within `seconds`, the rest is given back. Posts are still taken."""
        deadline = time.monotonic() + seconds
        self.stopping.set()
        self.feeds.close()
        self.dispatcher.stop(seconds)
        self._call_hooks("bridge_stop", max(LEAST_HOOK_SECONDS, deadline - time.monotonic()))

    def close(self) -> None:
        """Close the store, after the last post."""
        self.store.stop()
        self.recorder.clear()

    def _hear(self, kind: str, name: str) -> None:
        """Another process has written."""
        if kind == DUE:
            self.dispatcher.nudge_connector(name)
            return
        if kind != PUBLISHED:
            self.dispatcher.notice_foreign_write()
        self.feeds.look()

    def _say_who_may_post(self) -> None:
        if self.settings.intake.tokens:
            return
        if self.settings.server.on_loopback:
            _log.warning("no token is configured: only this machine can post (intake.tokens)")
        else:
            _log.warning("intake.open: anybody who reaches the bridge can post")

    def _call_hooks(self, hook: str, seconds: float = HOOK_SECONDS) -> dict[tuple[str, str], str]:
        """Call a hook of all connectors and directories at the same time, for so long and no longer.

        Returns why it failed, by role and name, secrets removed. Failure policy: one that raises or hangs holds up no
        other, and what it was called for counts as not done.
        """
        failed: dict[tuple[str, str], str] = {}
        threads: dict[tuple[str, str], threading.Thread] = {}

        def guarded(who: tuple[str, str], call: Callable[..., object]) -> None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001  # a plugin may raise anything
                _log.error("%s.%s: %s failed", *who, hook, exc_info=error)
                failed[who] = self.clean(f"{hook} failed: {type(error).__name__}: {error}")

        deadline = time.monotonic() + min(seconds, HOOK_SECONDS)
        for who in self._plugged():
            if (call := self.plugins.caller(*who, hook)) is not None:
                threads[who] = threading.Thread(target=guarded, args=(who, call), name=f"{hook}-{who[1]}", daemon=True)
                threads[who].start()
        for who, thread in threads.items():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                failed[who] = f"{hook} did not return within {min(seconds, HOOK_SECONDS):g} s"
                _log.error("%s.%s: %s", *who, failed[who])
        return failed

    def _plugged(self) -> list[tuple[str, str]]:
        """The (role, name) of every connector and directory that could be loaded and has something to do here."""

        def has_to_do(one: LoadedConnector) -> bool:
            return one.error is None and (self.duty.delivers_to(one.name) or one.pages in self.pages)

        return [
            *(("connectors", name) for name, one in self.plugins.connectors.items() if has_to_do(one)),
            *(("directories", name) for name, one in self.plugins.directories.items() if one.error is None),
        ]


def create_app(bridge: Bridge) -> Flask:
    """The web application of a bridge."""
    app = Flask("bridge", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect passes the PBX's probe and loses its events
    settings, plugins, store = bridge.settings, bridge.plugins, bridge.store
    intake = Intake(settings, plugins.sources, store, bridge.hand_over, bridge.metrics, bridge.clean, bridge.clock)
    monitoring = Monitoring(
        settings,
        plugins.connectors,
        bridge.failed_directories,
        store,
        bridge.dispatcher,
        bridge.metrics,
        bridge.clock,
    )
    if bridge.duty.takes_posts:
        app.register_blueprint(intake.blueprint())
    app.register_blueprint(monitoring.blueprint())
    app.register_error_handler(HTTPException, _as_text)
    if bridge.pages:
        proxies = settings.server.trusted_proxies
        app.wsgi_app = Mounts(bridge.pages, app.wsgi_app, proxies, bridge.stopping)  # type: ignore[method-assign]  # Flask's way
    app.wsgi_app = with_headers(app.wsgi_app)  # type: ignore[method-assign,assignment]  # Flask's way
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
