"""A plugin for tests: a board that shows calls. It has pages, a stream, commands, and nothing but its feed to keep."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator

import click
from flask import Blueprint, Response, redirect, request, url_for
from pydantic import BaseModel, SecretStr

from bridge import BridgeError, ConnectorContext, ConnectorKind, Delivery, Receipt, hookimpl


class BoardSettings(BaseModel):
    streams: int = 100
    heartbeat: float = 0.5
    password: SecretStr = SecretStr("")
    die_after_publishing: bool = False


class Board:
    def __init__(self, settings: BoardSettings, context: ConnectorContext) -> None:
        self._settings = settings
        self._context = context
        self._open = 0
        self._counting = threading.Lock()

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Receipt:
        call = delivery.event.call
        assert call is not None
        assert call.outside_party is not None
        data = {
            "type": delivery.event.type,
            "call": call.id,
            "names": [contact.name for contact in self._context.directories.find(call.outside_party)],
            "before": [one.id for one in self._context.history.calls(call.caller) if one.id != call.id],
        }
        number = self._context.feed.publish(f"desk {call.dialed_user}", data, keep=60)
        if self._settings.die_after_publishing:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return Receipt(text=str(number))

    @hookimpl
    def bridge_pages(self) -> Blueprint:
        pages = Blueprint("board", __name__)

        @pages.get("/")
        def home() -> dict[str, object]:
            where = {"desk": url_for(".desk", name="1"), "url": self._context.pages_url}
            return {"name": self._context.name, "from": request.remote_addr, "scheme": request.scheme, **where}

        @pages.get("/leave")
        def leave() -> object:
            return redirect(url_for(".home"))

        @pages.get("/broken")
        def broken() -> str:
            raise ValueError("the board fell off the wall")

        @pages.get("/exit")
        def leave_the_process() -> str:
            raise SystemExit(3)

        @pages.get("/open")
        def opened() -> str:
            return str(self._open)

        @pages.get("/desk/<name>")
        def desk(name: str) -> Response:
            after = int(request.headers.get("Last-Event-ID") or self._context.feed.last_id())
            return Response(self._stream([f"desk {name}"], after), mimetype="text/event-stream")

        @pages.get("/sulk")
        def sulk() -> Response:
            def body() -> Iterator[str]:
                yield "wait"
                time.sleep(60)

            return Response(body(), mimetype="text/plain")

        @pages.before_app_request
        def sign_in() -> Response | None:
            return Response("no", 401) if request.args.get("stranger") else None

        return pages

    @hookimpl
    def bridge_commands(self) -> Iterable[click.Command]:
        @click.command()
        @click.argument("desk")
        @click.argument("text")
        def say(desk: str, text: str) -> None:
            """Put a note on a desk."""
            number = self._context.feed.publish(f"desk {desk}", {"note": text}, keep=None)
            click.echo(f"{self._context.name} {number}")

        @click.command()
        @click.argument("desk")
        def watch(desk: str) -> None:
            """Wait for the next thing on a desk."""
            feed = self._context.feed
            after = feed.last_id()
            click.echo("watching", err=True)
            feed.wait([f"desk {desk}"], after, 20)
            click.echo(json.dumps([dict(item.data) for item in feed.read([f"desk {desk}"], after)]))

        @click.group()
        def trouble() -> None:
            """What goes wrong."""

        @trouble.command()
        def mild() -> None:
            """Fail for a reason people can mend."""
            raise BridgeError(f"the password is {self._settings.password.get_secret_value()}")

        @trouble.command()
        def grave() -> None:
            """Fail for no good reason."""
            raise KeyError(self._settings.password.get_secret_value())

        return [say, watch, trouble]

    def _stream(self, channels: list[str], after: int) -> Iterator[str]:
        with self._counting:
            self._open += 1
        try:
            yield ": hello\n\n"
            while True:
                for item in self._context.feed.read(channels, after):
                    after = item.id
                    yield f"id: {item.id}\ndata: {json.dumps(dict(item.data))}\n\n"
                if not self._context.feed.wait(channels, after, self._settings.heartbeat):
                    yield ": still here\n\n"
        finally:
            with self._counting:
                self._open -= 1


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    return [
        ConnectorKind(name="board", create=Board, settings=BoardSettings, streams=lambda settings: settings.streams)
    ]
