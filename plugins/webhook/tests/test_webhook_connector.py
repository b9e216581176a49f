"""The requests, the signatures, and what the answers mean."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from typing import ClassVar

import callbridge_webhook
import pytest
import responses
from callbridge_webhook.connector import WebhookConnector
from callbridge_webhook.signing import read_secret, signed_headers
from standardwebhooks import Webhook, WebhookVerificationError

from bridge import Delivery, Event, Misconfigured, PermanentFailure, TargetGone, TemporaryFailure

URL = "https://crm.example.com/hooks/s3cret-token"
OLD, NEW = ("whsec_" + base64.b64encode(bytes([byte]) * 24).decode() for byte in (1, 2))

Connect = Callable[..., WebhookConnector]
Deliver = Callable[[Event], Delivery]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it gets; takes posts and knows no OPTIONS."""

    got: ClassVar[list[tuple[str, Message, bytes]]]

    def do_POST(self) -> None:
        self.got.append((self.path, self.headers, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(202)
        self.end_headers()
        self.wfile.write(b"taken")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, Message, bytes]]]]:
    class Handler(Receiver):
        got: ClassVar[list[tuple[str, Message, bytes]]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", Handler.got
        server.shutdown()
        thread.join()


def sent(number: int = 0) -> tuple[bytes, dict[str, str]]:
    request = responses.calls[number].request
    assert isinstance(request.body, bytes)
    return request.body, dict(request.headers)


@responses.activate
def test_an_event_is_posted_and_verifies_with_every_secret(connect: Connect, delivery: Deliver, missed: Event) -> None:
    responses.post(URL, body="thanks " * 100)
    receipt = connect(url=URL, secrets=[NEW, OLD]).bridge_deliver(delivery(missed))
    body, headers = sent()
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(body, headers) == json.loads(missed.to_json())
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(bytes(24)).decode()).verify(body, headers)
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-id"] == "evt_01"
    assert (receipt.text, receipt.status, len(receipt.answer or "")) == ("HTTP 200", 200, 700)


def test_signatures_are_those_of_the_specification() -> None:
    key = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert signed_headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@responses.activate
def test_without_secrets_there_is_no_signature(connect: Connect, delivery: Deliver, missed: Event) -> None:
    responses.post(URL)
    connect(url=URL).bridge_deliver(delivery(missed))
    assert "webhook-signature" not in sent()[1]


@responses.activate
def test_a_retry_sends_the_same_id_and_body(connect: Connect, delivery: Deliver, missed: Event) -> None:
    responses.post(URL, status=503)
    responses.post(URL, status=204)
    connector = connect(url=URL)
    with pytest.raises(TemporaryFailure):
        connector.bridge_deliver(delivery(missed))
    connector.bridge_deliver(delivery(missed))
    (first, headers), (second, again) = sent(0), sent(1)
    assert first == second
    assert headers["webhook-id"] == again["webhook-id"]


@responses.activate
def test_an_envelope_is_sent_as_structured_and_signed(connect: Connect, delivery: Deliver, missed: Event) -> None:
    responses.put(URL)
    connect(url=URL, format="cloudevents", method="put", secrets=[NEW]).bridge_deliver(delivery(missed))
    body, headers = sent()
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert Webhook(NEW).verify(body, headers)["specversion"] == "1.0"


@responses.activate
def test_headers_go_along_and_may_say_what_a_template_made(connect: Connect, delivery: Deliver, missed: Event) -> None:
    responses.patch(URL)
    connect(
        url=URL,
        method="PATCH",
        headers={"content-type": "text/plain; charset=utf-8", "Authorization": "Bearer s3cret"},
        template="çağrı {{ event.data.call.id }}",
        secrets=[NEW],
    ).bridge_deliver(delivery(missed))
    body, headers = sent()
    assert body.decode() == "çağrı 1234"
    Webhook(NEW).verify(body, headers, json_parse=False)
    assert headers["Authorization"] == "Bearer s3cret"
    assert [value for name, value in headers.items() if name.lower() == "content-type"] == ["text/plain; charset=utf-8"]


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (302, PermanentFailure),
        (400, PermanentFailure),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, PermanentFailure),
        (408, TemporaryFailure),
        (410, TargetGone),
        (425, TemporaryFailure),
        (500, TemporaryFailure),
    ],
)
@responses.activate
def test_only_2xx_is_success(
    status: int, failure: type[Exception], connect: Connect, delivery: Deliver, missed: Event
) -> None:
    responses.post(URL, status=status, headers={"Location": "https://elsewhere.example.com/"})
    with pytest.raises(failure) as raised:
        connect(url=URL).bridge_deliver(delivery(missed))
    assert type(raised.value) is failure
    assert "s3cret" not in str(raised.value)
    assert len(responses.calls) == 1


@responses.activate
def test_the_wait_a_receiver_asks_for_is_kept(connect: Connect, delivery: Deliver, missed: Event) -> None:
    responses.post(URL, status=429, headers={"Retry-After": "120"})
    with pytest.raises(TemporaryFailure) as raised:
        connect(url=URL).bridge_deliver(delivery(missed))
    assert raised.value.retry_after == 120


@pytest.mark.parametrize(("status", "failure"), [(401, Misconfigured), (404, Misconfigured), (410, TargetGone)])
@responses.activate
def test_the_check_says_what_to_mend(status: int, failure: type[Exception], connect: Connect) -> None:
    responses.options(URL, status=status)
    with pytest.raises(failure, match="mend `"):
        connect(url=URL).bridge_check()


def test_over_real_http_the_check_finds_and_the_delivery_arrives(
    receiver: tuple[str, list[tuple[str, Message, bytes]]], connect: Connect, delivery: Deliver, missed: Event
) -> None:
    url, got = receiver
    connector = connect(url=url, secrets=[NEW])
    assert connector.bridge_check() == "reachable: OPTIONS was answered with HTTP 501; no event was sent"
    receipt = connector.bridge_deliver(delivery(missed))
    assert (receipt.text, receipt.answer) == ("HTTP 202", "taken")
    [(path, headers, body)] = got
    assert path == "/hook"
    assert Webhook(NEW).verify(body, dict(headers.items()))["id"] == "evt_01"


def test_the_kind_is_registered_once_and_waits_for_the_contact() -> None:
    [kind] = callbridge_webhook.bridge_connectors()
    assert (kind.name, kind.wants_contact, kind.idempotent, kind.max_age) == ("webhook", True, True, 24 * 3600)
