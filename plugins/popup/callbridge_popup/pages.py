"""What browsers and programs get: the page, its scripts, signing in and out, and the stream."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from importlib.resources import files
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template_string, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from bridge import BridgeError, ConnectorContext
from callbridge_popup.hub import Full, Hub
from callbridge_popup.signing_in import COOKIE, SESSION_SECONDS, Refused, SigningIn, session_of
from callbridge_popup.words import SIGN_IN

BUSY_SECONDS = (5, 15)
"""When a client that found no room is to come back: not all at the same moment."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
}

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Pages:
    """The pages of one connector."""

    def __init__(self, context: ConnectorContext, hub: Hub, signing_in: SigningIn, origins: Collection[str]) -> None:
        self._name = context.name
        self._home = context.pages_url
        self._hub = hub
        self._signing_in = signing_in
        self._origins = frozenset(origins)
        self._locale = context.locale
        web = files("callbridge_popup") / "web"
        self._page = (web / "page.html").read_text("utf-8")
        self._sign_in = (web / "sign_in.html").read_text("utf-8")
        self._assets: Mapping[str, bytes] = {
            file.name: file.read_bytes() for file in web.iterdir() if not file.name.endswith(".html")
        }

    def blueprint(self) -> Blueprint:
        """The routes."""
        routes = Blueprint(self._name, __name__)
        routes.after_request(self._protect)
        routes.register_error_handler(BridgeError, _store_is_down)
        routes.add_url_rule("/", "page", self._show_page)
        routes.add_url_rule("/sign-in", "sign_in", self._sign_in_by_pin, methods=["POST"])
        routes.add_url_rule("/sign-out", "sign_out", self._sign_out, methods=["POST"])
        routes.add_url_rule("/in/<token>", "link", self._sign_in_by_link)
        routes.add_url_rule(
            "/stream", "stream", self._stream, methods=["GET", "OPTIONS"], provide_automatic_options=False
        )
        routes.add_url_rule("/<asset>", "asset", self._asset)
        return routes

    # --- the page -------------------------------------------------------------------------------------------------

    def _show_page(self) -> Response:
        grant = self._signing_in.agent(request)
        if grant is None:
            return self._ask_to_sign_in()
        return _html(render_template_string(self._page, locale=self._locale, grant=grant.id))

    def _sign_in_by_pin(self) -> BaseResponse:
        if not self._is_own_page():
            return self._ask_to_sign_in(403, "elsewhere")
        extension, pin = request.form.get("extension", "").strip(), request.form.get("pin", "")
        try:
            return self._welcome(self._signing_in.by_pin(request.remote_addr or "", extension, pin))
        except Refused as refused:
            if refused.retry_after:
                answer = self._ask_to_sign_in(429, "too_often", extension)
                answer.headers["Retry-After"] = str(int(refused.retry_after) + 1)
                return answer
            return self._ask_to_sign_in(401, "wrong", extension)

    def _sign_in_by_link(self, token: str) -> BaseResponse:
        try:
            return self._welcome(self._signing_in.by_link(token))
        except Refused:
            return self._ask_to_sign_in(401, "link")

    def _sign_out(self) -> BaseResponse:
        if not self._is_own_page():
            return self._ask_to_sign_in(403, "elsewhere")
        self._signing_in.sign_out(request)
        answer = redirect(url_for(".page"), 303)
        answer.delete_cookie(COOKIE, path=url_for(".page"))
        return answer

    def _welcome(self, session: str) -> BaseResponse:
        answer = redirect(url_for(".page"), 303)
        answer.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_SECONDS,
            path=url_for(".page"),
            httponly=True,
            samesite="Lax",
            secure=_is_https(self._home),
        )
        return answer

    def _ask_to_sign_in(self, status: int = 200, error: str = "", extension: str = "") -> Response:
        words = SIGN_IN[self._locale]
        text = words.get(error, "")
        page = render_template_string(
            self._sign_in, locale=self._locale, words=words, error=text, extension=extension[:20], home=url_for(".page")
        )
        return _html(page, status)

    def _is_own_page(self) -> bool:
        """Whether a form was sent from our own page, as far as the browser says."""
        origin = request.headers.get("Origin")
        return origin is None or self._is_own(origin)

    def _is_own(self, origin: str) -> bool:
        return urlsplit(origin).netloc in (request.host, urlsplit(self._home).netloc)

    def _asset(self, asset: str) -> Response:
        content = self._assets.get(asset)
        if content is None:
            return Response("not found", 404, mimetype="text/plain")
        answer = Response(content, mimetype=TYPES[asset[asset.rindex(".") :]])
        answer.headers["Cache-Control"] = "no-cache"
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        answer.add_etag()
        self._share(answer)
        answer.make_conditional(request)
        return answer

    # --- the stream -----------------------------------------------------------------------------------------------

    def _stream(self) -> Response:
        answer = self._preflight() if request.method == "OPTIONS" else self._open_stream()
        self._share(answer)
        return answer

    def _open_stream(self) -> Response:
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own(origin) and origin not in self._origins:
            return _text("this page is not in allowed_origins", 403)
        grant = self._signing_in.agent(request)
        if grant is None:
            return _text("not signed in", 401)
        if request.method == "HEAD":  # nobody would read it, nor close it
            return Response(mimetype="text/event-stream")
        try:
            stream, beginning = self._hub.open(grant, session_of(request), _last_event_id())
        except Full:
            answer = _text("no stream is free", 503)
            answer.headers["Retry-After"] = str(random.randint(*BUSY_SECONDS))  # noqa: S311  # no secret
            return answer
        answer = Response(stream.messages(beginning), mimetype="text/event-stream")
        answer.call_on_close(stream.leave)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Accel-Buffering"] = "no"  # nginx would hold the cards back
        return answer

    def _preflight(self) -> Response:
        answer = Response(status=204)
        answer.headers["Access-Control-Allow-Methods"] = "GET"
        answer.headers["Access-Control-Allow-Headers"] = "Authorization, Last-Event-ID"
        answer.headers["Access-Control-Max-Age"] = "600"
        return answer

    def _share(self, answer: Response) -> None:
        """Let the pages of `allowed_origins`, and no others, read an answer."""
        answer.vary.add("Origin")
        if (origin := request.headers.get("Origin")) in self._origins:
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Expose-Headers"] = "Retry-After"

    def _protect(self, answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return answer


def _html(page: str, status: int = 200) -> Response:
    answer = Response(page, status, mimetype="text/html")
    # With "no-referrer" browsers would send the page's own forms as of the origin "null". A path never leaves it.
    answer.headers["Referrer-Policy"] = "strict-origin"
    return answer


def _text(text: str, status: int) -> Response:
    return Response(text, status, mimetype="text/plain")


def _store_is_down(_error: BridgeError) -> Response:
    # Failure policy: who cannot be looked up now is neither let in nor signed out. The client comes again.
    answer = _text("the store cannot be used now", 503)
    answer.headers["Retry-After"] = str(BUSY_SECONDS[0])
    return answer


def _is_https(home: str) -> bool:
    """Whether the browser came by https: a trusted proxy says so, or it came to the address that is known to be so."""
    public = urlsplit(home)
    return request.is_secure or (public.scheme == "https" and public.netloc == request.host)


def _last_event_id() -> int:
    text = request.headers.get("Last-Event-ID") or request.args.get("last_event_id", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
