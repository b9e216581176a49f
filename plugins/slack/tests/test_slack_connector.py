"""The posts to Slack, and what its answers mean."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import callbridge_slack
import pytest
import responses
from callbridge_slack.connector import SlackConnector

from bridge import Delivery, DeliveryFailure, Misconfigured, PermanentFailure, Receipt, Skip, TemporaryFailure

HOOK = "https://hooks.slack.com/services/T0/B0/s3cret"
POST = "https://slack.com/api/chat.postMessage"
BOT = {"token": "xoxb-s3cret", "channel": "C01"}

Connect = Callable[..., SlackConnector]


def sent(number: int = 0) -> dict[str, Any]:
    body = responses.calls[number].request.body
    assert isinstance(body, bytes)
    payload = json.loads(body)
    assert isinstance(payload, dict)
    return payload


def failure_of(connector: SlackConnector, delivery: Delivery) -> DeliveryFailure:
    with pytest.raises(DeliveryFailure) as raised:
        connector.bridge_deliver(delivery)
    assert "s3cret" not in str(raised.value)
    return raised.value


@responses.activate
def test_a_webhook_gets_the_message(connect: Connect, delivery: Delivery) -> None:
    responses.post(HOOK, body="ok")
    assert connect(webhook_url=HOOK).bridge_deliver(delivery) == Receipt(text="ok", status=200, answer="ok")
    assert sent()["blocks"][0]["text"]["text"] == "Kaçan çağrı"
    assert "channel" not in sent()


@responses.activate
def test_a_template_makes_the_message(connect: Connect, delivery: Delivery) -> None:
    responses.post(HOOK, body="ok")
    connect(webhook_url=HOOK, template="*{{ title }}* {{ event.data.call.caller.display }}").bridge_deliver(delivery)
    assert sent()["text"] == "*Kaçan çağrı* (0212) 320 50 62"


@responses.activate
def test_a_template_that_writes_nothing_skips_the_event(connect: Connect, delivery: Delivery) -> None:
    connector = connect(webhook_url=HOOK, template="{% if event.data.call.queue != '200' %}x{% endif %}\n")
    assert isinstance(connector.bridge_deliver(delivery), Skip)
    assert not responses.calls


@pytest.mark.parametrize(
    ("status", "answer", "failure", "words"),
    [
        (400, "invalid_blocks", PermanentFailure, "invalid_blocks"),
        (400, "no_text", PermanentFailure, "no_text"),
        (400, "", PermanentFailure, "no reason given"),
        (400, "no_team", Misconfigured, "make a new one"),
        (403, "action_prohibited", Misconfigured, "administrator"),
        (403, "invalid_token", Misconfigured, "webhook_url"),
        (404, "no_service", Misconfigured, "webhook_url"),
        (404, "channel_not_found", Misconfigured, "channel"),
        (404, "<html>", Misconfigured, "HTTP 404"),
        (410, "channel_is_archived", Misconfigured, "archived"),
        (302, "", PermanentFailure, "302"),
        (500, "rollup_error", TemporaryFailure, "500"),
        (503, "", TemporaryFailure, "503"),
    ],
)
@responses.activate
def test_a_webhooks_refusals_are_sorted(
    status: int, answer: str, failure: type[Exception], words: str, connect: Connect, delivery: Delivery
) -> None:
    responses.post(HOOK, status=status, body=answer)
    raised = failure_of(connect(webhook_url=HOOK), delivery)
    assert type(raised) is failure
    assert words in str(raised)
    assert (raised.status, raised.answer) == (status, answer)


@responses.activate
def test_the_wait_slack_asks_for_is_kept(connect: Connect, delivery: Delivery) -> None:
    responses.post(HOOK, status=429, headers={"Retry-After": "30"}, body="rate_limited")
    responses.post(POST, status=429, headers={"Retry-After": "31"}, json={"ok": False, "error": "ratelimited"})
    responses.post(POST, headers={"Retry-After": "32"}, json={"ok": False, "error": "ratelimited"})
    raised = [failure_of(connect(webhook_url=HOOK), delivery)]
    raised += [failure_of(connect(**BOT), delivery) for _ in range(2)]
    assert [failure.retry_after for failure in raised if isinstance(failure, TemporaryFailure)] == [30, 31, 32]


@responses.activate
def test_a_bot_posts_into_its_channel(connect: Connect, delivery: Delivery) -> None:
    responses.post(POST, json={"ok": True, "channel": "C01", "ts": "1503435956.000247"})
    receipt = connect(**BOT).bridge_deliver(delivery)
    assert receipt == Receipt(text="1503435956.000247 in C01", status=200)
    assert responses.calls[0].request.headers["Authorization"] == "Bearer xoxb-s3cret"
    assert sent()["channel"] == "C01"
    assert sent()["text"].startswith("Kaçan çağrı")


@pytest.mark.parametrize(
    ("code", "failure", "words"),
    [
        ("invalid_auth", Misconfigured, "`token`"),
        ("not_authed", Misconfigured, "`token`"),
        ("token_revoked", Misconfigured, "`token`"),
        ("token_expired", Misconfigured, "`token`"),
        ("account_inactive", Misconfigured, "`token`"),
        ("missing_scope", Misconfigured, "chat:write"),
        ("channel_not_found", Misconfigured, "`channel`"),
        ("not_in_channel", Misconfigured, "/invite"),
        ("is_archived", Misconfigured, "archived"),
        ("restricted_action_read_only_channel", Misconfigured, "administrator"),
        ("team_access_not_granted", Misconfigured, "administrator"),
        ("internal_error", TemporaryFailure, "internal_error"),
        ("rate_limited", TemporaryFailure, "rate_limited"),
        ("team_added_to_org", TemporaryFailure, "now"),
        ("invalid_blocks", PermanentFailure, "invalid_blocks"),
        ("msg_too_long", PermanentFailure, "msg_too_long"),
        ("something_new", PermanentFailure, "something_new"),
    ],
)
@responses.activate
def test_the_apis_errors_are_sorted(
    code: str, failure: type[Exception], words: str, connect: Connect, delivery: Delivery
) -> None:
    responses.post(POST, json={"ok": False, "error": code})
    raised = failure_of(connect(**BOT), delivery)
    assert type(raised) is failure
    assert words in str(raised)


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, "<html>captive portal</html>", TemporaryFailure),
        (200, "[]", TemporaryFailure),
        (200, "", TemporaryFailure),
        (401, "no", Misconfigured),
        (403, '{"ok": false, "error": "something_new"}', Misconfigured),
        (404, "no", Misconfigured),
        (500, '{"ok": false, "error": "invalid_auth"}', TemporaryFailure),
        (502, "<html>", TemporaryFailure),
        (301, "", PermanentFailure),
    ],
)
@responses.activate
def test_answers_that_are_not_the_apis_are_sorted_by_status(
    status: int, body: str, failure: type[Exception], connect: Connect, delivery: Delivery
) -> None:
    responses.post(POST, status=status, body=body)
    assert type(failure_of(connect(**BOT), delivery)) is failure


@responses.activate
def test_a_webhook_is_checked_without_posting(connect: Connect) -> None:
    responses.post(HOOK, status=400, body="no_text")
    assert connect(webhook_url=HOOK).bridge_check() == "the webhook exists; no message was posted"
    assert sent() == {}


@responses.activate
def test_the_check_of_a_removed_webhook_says_what_to_mend(connect: Connect) -> None:
    responses.post(HOOK, status=404, body="no_service")
    with pytest.raises(Misconfigured, match="make a new one"):
        connect(webhook_url=HOOK).bridge_check()


@responses.activate
def test_a_bot_is_checked_without_posting(connect: Connect) -> None:
    responses.post("https://slack.com/api/auth.test", json={"ok": True, "user": "callbridge", "team": "Acme"})
    assert connect(**BOT).bridge_check() == "Slack knows the bot callbridge in the workspace Acme"
    responses.replace("POST", "https://slack.com/api/auth.test", json={"ok": False, "error": "token_revoked"})
    with pytest.raises(Misconfigured, match="new token"):
        connect(**BOT).bridge_check()


class SlackStandIn(http.server.BaseHTTPRequestHandler):
    """Slack's Web API, as far as the connector needs it."""

    got: ClassVar[list[tuple[str, str, dict[str, Any]]]]

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.got.append((self.path, self.headers["authorization"], payload))
        answer = json.dumps({"ok": True, "user": "bot", "team": "Acme", "ts": "1.2", "channel": "C01"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass


@pytest.fixture
def stand_in() -> Iterator[tuple[str, list[tuple[str, str, dict[str, Any]]]]]:
    class Handler(SlackStandIn):
        got: ClassVar[list[tuple[str, str, dict[str, Any]]]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/", Handler.got
        server.shutdown()
        thread.join()


def test_over_real_http_the_bot_checks_and_posts(
    stand_in: tuple[str, list[tuple[str, str, dict[str, Any]]]], connect: Connect, delivery: Delivery
) -> None:
    api_url, got = stand_in
    connector = connect(**BOT, api_url=api_url)
    connector.bridge_check()
    assert connector.bridge_deliver(delivery) == Receipt(text="1.2 in C01", status=200)
    assert [(path, token) for path, token, _ in got] == [
        ("/api/auth.test", "Bearer xoxb-s3cret"),
        ("/api/chat.postMessage", "Bearer xoxb-s3cret"),
    ]
    assert got[1][2]["blocks"][0]["text"]["text"] == "Kaçan çağrı"


def test_the_kind_is_registered_once_and_waits_for_the_contact() -> None:
    [kind] = callbridge_slack.bridge_connectors()
    assert (kind.name, kind.wants_contact, kind.idempotent, kind.max_age) == ("slack", True, False, 24 * 3600)
