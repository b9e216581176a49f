"""What any Flask application could do here: one that reads the form and answers, served as the bridge is served."""

from __future__ import annotations

import sys
from collections.abc import Callable

from flask import Flask, Response, request

from bridge.server import serve
from bridge.settings import ServerSettings


class _Nothing:
    """The bridge's service without a bridge."""

    threads_for_pages = 0

    def start(self, then: Callable[[], None]) -> None:
        then()

    def drain(self, seconds: float) -> None: ...

    def close(self) -> None: ...


def make() -> tuple[_Nothing, Flask]:
    """The application, and nothing beside it."""
    app = Flask("ceiling", static_folder=None)

    @app.post("/event/<token>")
    def _event(token: str) -> Response:
        return Response(request.form["call_uuid"], mimetype="text/plain")

    @app.get("/readyz")
    def _ready() -> str:
        return "ok"

    return _Nothing(), app


if __name__ == "__main__":
    serve(ServerSettings(port=int(sys.argv[1])), make)
