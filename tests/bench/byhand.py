"""The handler people write by hand: it sends each post on to the receiver, and keeps nothing.

`inside`: within the request, as the PBX waits. `thread`: by one thread in the background, from a queue in memory. It is
served by granian, as the bridge is. Arguments: the port, the way, the receiver's URL, how many processes.
"""

from __future__ import annotations

import sys
import threading
from queue import SimpleQueue

import requests
from flask import Flask, Response, request
from granian import Granian
from granian.constants import Interfaces


def make_inside(url: str) -> Flask:
    """Answers after it has sent."""
    app = _app()

    @app.post("/event/<token>")
    def _event(token: str) -> Response:
        _send(url, request.form.to_dict())
        return Response(request.form["call_uuid"], mimetype="text/plain")

    return app


def make_thread(url: str) -> Flask:
    """Answers at once; what waits is lost with the process."""
    app = _app()
    waiting: SimpleQueue[dict[str, str]] = SimpleQueue()

    def send_all() -> None:
        while True:
            _send(url, waiting.get())

    threading.Thread(target=send_all, daemon=True).start()

    @app.post("/event/<token>")
    def _event(token: str) -> Response:
        waiting.put(request.form.to_dict())
        return Response(request.form["call_uuid"], mimetype="text/plain")

    return app


def _app() -> Flask:
    app = Flask("byhand", static_folder=None)
    app.add_url_rule("/readyz", "ready", lambda: "ok")
    return app


def _send(url: str, form: dict[str, str]) -> None:
    requests.post(url, json={"data": {"raw": form}}, timeout=10)


if __name__ == "__main__":
    port, way, url, workers = sys.argv[1:]
    make = {"inside": make_inside, "thread": make_thread}[way]
    server = Granian(
        "byhand",
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.WSGI,
        workers=int(workers),
        blocking_threads=64,
        log_enabled=False,
    )
    server.serve(target_loader=lambda _: make(url))
