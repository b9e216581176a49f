"""Answers that are known later: a request whose answer waits for the disk keeps no thread waiting with it.

A thread that waits has to be woken and to get its turn of the interpreter again, which costs as much as a good part of
what a post needs; and those that wait are as many as there are posts under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Tell = Callable[[Response | None], None]
"""Tells, once and from any thread, how a promise ended: None where it is kept, else what is answered instead."""


class Promised(Response):
    """The response if all goes well; `begin` sets to work what decides that, and is given whom to tell."""

    def __init__(self, text: str, begin: Callable[[Tell], None], **options: Any) -> None:
        super().__init__(text, **options)
        self._begin = begin

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Later:
        headers, body = self.get_wsgi_headers(environ).to_wsgi_list(), self.get_data()

        def begin(send: Callable[[bytes], None]) -> None:
            def tell(instead: Response | None) -> None:
                if instead is None:
                    start_response(self.status, headers)
                    send(body)
                else:
                    start_response(instead.status, instead.get_wsgi_headers(environ).to_wsgi_list())
                    send(instead.get_data())

            self._begin(tell)

        return Later(begin)


class Later:
    """The body of a WSGI answer that is not known yet, to be asked for once.

    A server that knows of such bodies calls `begin`: `send` gets the whole body, from whatever thread, after
    `start_response` has been called there. For any other server it is an iterable that waits.
    """

    def __init__(self, begin: Callable[[Callable[[bytes], None]], None]) -> None:
        self.begin = begin

    def __iter__(self) -> Iterator[bytes]:
        known: SimpleQueue[bytes] = SimpleQueue()
        self.begin(known.put)
        yield known.get()
