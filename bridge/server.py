"""Serving: granian in front of the application, one worker process that the kernel stops together with its parent.

The parent keeps the port and starts the worker again if it dies; the worker runs the bridge. On SIGTERM the parent says
so to the worker twice: by a pipe, on which the bridge lets nobody connect any more, stops claiming and ends its open
streams, and by granian's own signal, on which it closes what is idle and finishes the requests under way.
"""

from __future__ import annotations

import ctypes
import gc
import inspect
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server import mp
from granian.server.mp import MPServer

from bridge.errors import BridgeError, Fault, SettingsError
from bridge.gateway import gateway
from bridge.listening import refuse_newcomers
from bridge.settings import ServerSettings

if TYPE_CHECKING:  # the parent only supervises: what the worker is made of is imported in the worker
    from flask import Flask

STOP_SECONDS = 9
"""Seconds from SIGTERM to the end, whatever hangs."""
DRAIN_SECONDS = 7.0
"""Of these, how many the deliveries under way get."""
REQUEST_SECONDS = 1.0
"""Seconds that the requests under way get after them: granian waits for a client that sent half of one until it gives
up."""
BLOCKING_THREADS = 1200
"""Threads that run requests, begun as they are needed: a client that sends half a body keeps one waiting until it gives
up, so there are more than a thousand of those may take. A post that waits for its commit keeps none."""
SPEAK_SECONDS = 0.1
"""Seconds that who has just connected has to begin to speak, before the worker is told to take no more connections."""
CONNECTIONS = 4096
"""Connections that are open at the same time, idle ones too. More than these wait: only a proxy in front helps."""
PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger("callbridge")


class Flag(Protocol):
    """What the processes share."""

    value: bool


class Service(Protocol):
    """What is served: started in the worker, drained while the last requests end, closed after them.

    Once it calls `then`, nothing but what it delivers can end the process.
    """

    @property
    def threads_for_pages(self) -> int:
        """Threads that the connectors' pages may take, besides those that take the posts."""

    def start(self, then: Callable[[], None]) -> None: ...

    def drain(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class _Server(MPServer):
    """granian's supervisor, which also tells the worker through the pipe `tell` that it is time to stop."""

    def __init__(self, started: Flag, tell: int, **options: Any) -> None:
        self._started = started
        self._tell = tell
        super().__init__("bridge", **options)

    @property
    def respawned_wrks(self) -> dict[int, float]:
        """When workers were started again: granian would give up after two deaths in a few seconds, but what kills them
        is found after some more."""
        return {}

    @respawned_wrks.setter
    def respawned_wrks(self, _: dict[int, float]) -> None:
        """granian notes them here."""

    @property
    def respawn_failed_workers(self) -> bool:
        """A worker that dies is started again, unless it could not start: that would not help."""
        return bool(self._started.value)

    @respawn_failed_workers.setter
    def respawn_failed_workers(self, _: bool) -> None:
        """granian sets its option here."""

    def startup(self, *args: Any, **kwargs: Any) -> None:
        super().startup(*args, **kwargs)  # type: ignore[no-untyped-call]  # granian has no types here
        threading.Thread(target=self._stop_when_signalled, name="signals", daemon=True).start()

    def _stop_when_signalled(self) -> None:
        # In a thread that waits for them: a handler can interrupt another one that holds the lock of granian's Event,
        # and of signals that come all at once none may wake the main thread.
        signal.sigwait(STOP_SIGNALS)
        os.write(self._tell, b".")
        time.sleep(SPEAK_SECONDS)
        self.signal_handler_interrupt()  # type: ignore[no-untyped-call]


class _Worker:
    """What the worker process runs: granian's own worker between the start and the end of the service."""

    def __init__(
        self, settings: ServerSettings, make: Callable[[], tuple[Service, Flask]], started: Flag, told: int
    ) -> None:
        self._settings = settings
        self._make = make
        self._started = started
        self._told = told
        self._parent = os.getpid()
        self._draining = threading.Lock()
        self._drained = threading.Event()
        self._ending = threading.Lock()
        self._service: Service | None = None

    def load(self, _target: str) -> Flask:
        """The application to serve, made and started in the worker process."""
        # Ctrl-C stays blocked: it reaches the parent too, which stops this process in its order.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self._die_with_parent()
        try:
            self._started.value = False
            self._service, app = self._make()
            self._service.start(self._note_start)
        except BridgeError as error:
            _log.critical("the bridge cannot start:\n%s", error)
            logging.shutdown()
            os._exit(1)
        # What is there by now stays: the collector need not go through it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)
        _log.info("listening on http://%s:%d", self._settings.host, self._settings.port)
        threading.Thread(target=self._drain_when_told, name="drain", daemon=True).start()
        return app

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Called by granian in the worker process: serve until told to stop, then end in an orderly way."""
        app = self.load("bridge")
        mp._wsgi_call_wrap = gateway  # type: ignore[assignment,attr-defined]  # there is no public way
        MPServer._spawn_wsgi_worker(*self._adapted(args, app), **kwargs)
        threading.Thread(target=self._drain, name="drain", daemon=True).start()
        self._drained.wait(DRAIN_SECONDS + 1)
        self._end()

    def _adapted(self, args: tuple[Any, ...], app: Flask) -> list[Any]:
        """granian's arguments, with more threads and connections, as many as the pages may take: that is known only
        after loading."""
        adapted, extra = list(args), self._service.threads_for_pages if self._service else 0
        adapted[2] = lambda: app
        # What granian wraps has other parameters at the beginning, and the same ones at the end.
        names = [*inspect.signature(MPServer._spawn_wsgi_worker).parameters]
        for name in ("blocking_threads", "backpressure"):
            adapted[names.index(name) - len(names)] += extra
        return adapted

    def _drain_when_told(self) -> None:
        os.read(self._told, 1)
        refuse_newcomers()
        self._drain()
        time.sleep(REQUEST_SECONDS)
        self._end()

    def _drain(self) -> None:
        if self._service is None or not self._draining.acquire(blocking=False):
            return
        try:
            self._service.drain(DRAIN_SECONDS)
        finally:
            self._drained.set()

    def _end(self) -> None:
        self._ending.acquire()  # for ever: whoever comes second is ended with the process
        if self._service is not None:
            self._service.close()
        logging.shutdown()
        os._exit(0)  # a thread of a connector that hangs must not keep the process

    def _note_start(self) -> None:
        self._started.value = True

    def _die_with_parent(self) -> None:
        """Have the kernel kill this process when its parent dies: an orphan would go on serving the port."""
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._parent:  # it died before it could be asked
                os._exit(1)


def check_address(settings: ServerSettings) -> None:
    """Raises SettingsError where the bridge cannot listen on its address; granian would only say so in a traceback."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        reason = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        raise SettingsError([Fault("server.port", reason)]) from error


def _allow_files(count: int) -> None:
    """As many open files as there may be connections, as far as the system lets this user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def serve(settings: ServerSettings, make: Callable[[], tuple[Service, Flask]]) -> None:
    """Serve until SIGTERM or SIGINT. `make` is called in the worker process, and again in its successor if it dies.

    Raises SystemExit (1) where the worker cannot start.
    """
    # What the worker is made of need not be pickled.
    multiprocessing.set_start_method("fork", force=True)
    # A value without a lock and a pipe: an Event waits for ever for a worker that was killed while it held its lock.
    started = multiprocessing.RawValue(ctypes.c_bool)
    told, tell = os.pipe()
    worker = _Worker(settings, make, started, told)
    server = _Server(
        started,
        tell,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=BLOCKING_THREADS,
        backlog=CONNECTIONS,
        backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
        workers_kill_timeout=STOP_SECONDS,
        log_enabled=False,
    )
    _allow_files(2 * CONNECTIONS)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    gc.freeze()  # what is there by now is shared with the worker: collecting it there would copy it
    server.serve(spawn_target=worker.run, target_loader=worker.load)
