"""Headers that every answer has: a browser is not to guess, to store, or to tell where it has been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ALWAYS = (("X-Content-Type-Options", "nosniff"),)
UNLESS_SET = (
    ("Referrer-Policy", "no-referrer"),  # the address may hold a token
    ("Cache-Control", "no-store"),
)
NO_PAGE = (("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),)
"""Of what is no HTML; a page says itself what it is made of."""


def with_headers(application: WSGIApplication) -> WSGIApplication:
    """The application, whose answers all have the headers."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            present = {name.lower(): value for name, value in headers}
            wanted = UNLESS_SET if present.get("content-type", "").startswith("text/html") else UNLESS_SET + NO_PAGE
            added = [header for header in wanted if header[0].lower() not in present]
            return start_response(status, [*headers, *ALWAYS, *added], *error)

        return application(environ, start)

    return answer
