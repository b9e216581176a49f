"""Sending for real: by HTTP and by mail to stand-ins of ours, and what each refusal means."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import responses
from callbridge_apprise.failures import raise_failure
from callbridge_apprise.process import Worker
from callbridge_apprise.settings import target_of

from bridge import DeliveryFailure, Misconfigured, PermanentFailure, Receipt, Skip, TargetGone, TemporaryFailure
from bridge.testing import Answer, RecordingSink

from .conftest import Connect, Deliver, MailServer, delivery_to

TELEGRAM = "tgram://123456789:AAFabcdefghijklmnopqrstuvwxyzABCDEFG/12345/"
TELEGRAMS = "https://api.telegram.org/bot123456789:AAFabcdefghijklmnopqrstuvwxyzABCDEFG/sendMessage"
DISCORD = "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
DISCORDS = "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"

Do = Callable[..., dict[str, Any]]


def failure_of(send: Callable[[], object]) -> DeliveryFailure:
    with pytest.raises(DeliveryFailure) as raised:
        send()
    assert "s3cret" not in str(raised.value)
    return raised.value


# --- by HTTP ------------------------------------------------------------------------------------------------------


def test_a_message_arrives_and_the_receipt_names_the_target(sink: RecordingSink, deliver: Deliver) -> None:
    url = f"mmost://127.0.0.1:{sink.port}/3ccdd113474722377935511fc85d3dd4"

    assert deliver(url) == Receipt(text=f"sent to {target_of(url)}")
    (arrival,) = sink.arrivals
    assert arrival.path == "/hooks/3ccdd113474722377935511fc85d3dd4"
    assert arrival.json()["text"].startswith("Kaçan çağrı\r\nArayan: (0212) 320 50 62\nAranan: 1001")


def test_a_template_that_writes_nothing_skips_the_event(sink: RecordingSink, deliver: Deliver) -> None:
    assert isinstance(deliver(f"json://127.0.0.1:{sink.port}", template="{% if false %}x{% endif %}\n"), Skip)
    assert sink.arrivals == []


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (Answer(401), Misconfigured, "401 Unauthorized"),
        (Answer(403), Misconfigured, "403 Forbidden"),
        (Answer(404), Misconfigured, "knows no such address or token"),
        (Answer(410), TargetGone, "410 Gone"),
        (Answer(400), PermanentFailure, "400 Bad Request"),
        (Answer(302, headers={"Location": "http://127.0.0.1:9/"}), PermanentFailure, "redirects are not followed"),
        (Answer(408), TemporaryFailure, "408"),
        (Answer(500), TemporaryFailure, "500"),
        (Answer(503), TemporaryFailure, "503"),
    ],
)
def test_refusals_are_sorted_by_their_status(
    answer: Answer, failure: type[DeliveryFailure], words: str, sink: RecordingSink, deliver: Deliver
) -> None:
    sink.answer_with(Answer(answer.status, b"because", answer.headers))
    raised = failure_of(lambda: deliver(f"json://s3cret:s3cret@127.0.0.1:{sink.port}/s3cret"))

    assert type(raised) is failure
    assert words in str(raised)
    assert (raised.status, raised.answer) == (answer.status, "because")
    assert len(sink.arrivals) == 1


def test_options_of_the_url_bring_no_redirect_and_no_other_timeout(sink: RecordingSink, deliver: Deliver) -> None:
    sink.answer_with(Answer(302, headers={"Location": sink.url}))
    failure_of(lambda: deliver(f"json://127.0.0.1:{sink.port}/?redirect=yes"))
    assert len(sink.arrivals) == 1

    sink.answer_with(Answer(delay=0.2))
    assert deliver(f"json://127.0.0.1:{sink.port}/?rto=0.01&cto=0.01")


def test_a_rate_limit_is_left_to_callbridge(sink: RecordingSink, deliver: Deliver) -> None:
    sink.answer_with(Answer(429, headers={"Retry-After": "30"}))
    raised = failure_of(lambda: deliver(f"json://127.0.0.1:{sink.port}/"))

    assert isinstance(raised, TemporaryFailure)
    assert raised.retry_after == 30


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_service_that_drips_is_given_up_in_time(drip: bytes, connect: Connect) -> None:
    with dripping(drip) as port:
        url = f"json://127.0.0.1:{port}"
        connector = connect(url, timeout=0.5)
        began = time.monotonic()
        raised = failure_of(lambda: connector.bridge_deliver(delivery_to(target_of(url))))

    assert isinstance(raised, TemporaryFailure)
    assert time.monotonic() - began < 2.5


@contextmanager
def dripping(first: bytes) -> Iterator[int]:
    """A server that answers with `first` and then a byte now and then, for ever."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.sendall(first)
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    def accept() -> None:
        while not over.is_set():
            try:
                drip(server.accept()[0])
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_of_an_endless_answer_no_more_than_64_kib_is_read(sink: RecordingSink, deliver: Deliver) -> None:
    sink.answer_with(Answer(500, b"x" * 5_000_000))
    raised = failure_of(lambda: deliver(f"json://127.0.0.1:{sink.port}"))

    assert raised.answer is not None
    assert len(raised.answer) == 64 * 1024


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("127.0.0.1:1", "refused the connection"),
        ("no-such-host.invalid", "name of the service cannot be resolved"),
    ],
)
def test_a_service_that_cannot_be_reached_is_a_temporary_failure(host: str, words: str, deliver: Deliver) -> None:
    raised = failure_of(lambda: deliver(f"json://s3cret@{host}/s3cret"))

    assert isinstance(raised, TemporaryFailure)
    assert words in str(raised)


def test_proxies_and_logins_of_the_environment_are_not_used(
    sink: RecordingSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    worker = Worker()
    job = {"url": f"json://127.0.0.1:{sink.port}", "title": "Kaçan çağrı", "body": "x"}

    assert worker.ask(job, 20.0) == {}
    worker.stop()
    assert "Authorization" not in sink.arrivals[0].headers


def test_a_target_that_is_no_longer_configured_is_said_to_be(connect: Connect) -> None:
    with pytest.raises(Misconfigured, match="no longer among `urls`"):
        connect("json://localhost").bridge_deliver(delivery_to("json-0000000000"))


# --- services that cannot be told another host ---------------------------------------------------------------------


@responses.activate
def test_telegram_gets_the_message(do: Do) -> None:
    responses.post(TELEGRAMS, json={"ok": True, "result": {"message_id": 7}})

    assert do(TELEGRAM, "Arayan: (0212) 320 50 62", "Kaçan çağrı") == {}
    sent = json.loads(responses.calls[0].request.body or "")
    assert sent["chat_id"] == 12345
    assert "Kaçan çağrı" in sent["text"]
    assert "Arayan: (0212) 320 50 62" in sent["text"]


@pytest.mark.parametrize(
    ("status", "description", "failure"),
    [
        (401, "Unauthorized", Misconfigured),
        (404, "Not Found", Misconfigured),
        (403, "Forbidden: bot was blocked by the user", Misconfigured),
        (400, "Bad Request: chat not found", Misconfigured),
        (400, "Bad Request: message text is empty", PermanentFailure),
        (502, "Bad Gateway", TemporaryFailure),
    ],
)
@responses.activate
def test_telegrams_refusals_are_sorted(status: int, description: str, failure: type[Exception], do: Do) -> None:
    responses.post(TELEGRAMS, status=status, json={"ok": False, "error_code": status, "description": description})

    raised = failure_of(lambda: raise_failure(do(TELEGRAM)))
    assert type(raised) is failure
    assert description in (raised.answer or "")


@responses.activate
def test_discord_gets_the_message_and_its_rate_limit_is_not_slept_through(do: Do) -> None:
    responses.post(DISCORDS, status=204)
    assert do(DISCORD) == {}
    assert "body" in json.dumps(json.loads(responses.calls[0].request.body or ""))

    responses.replace("POST", DISCORDS, status=429, headers={"Retry-After": "65"}, json={"retry_after": 65})
    raised = failure_of(lambda: raise_failure(do(DISCORD)))
    assert isinstance(raised, TemporaryFailure)
    assert (raised.retry_after, len(responses.calls)) == (65, 2)


@responses.activate
def test_what_apprise_alone_judges_is_a_temporary_failure_in_its_words(do: Do) -> None:
    responses.post("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", body="no")

    raised = failure_of(lambda: raise_failure(do("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general")))
    assert isinstance(raised, TemporaryFailure)
    assert "apprise could not send it: Failed to send to Slack" in str(raised)


# --- by mail ------------------------------------------------------------------------------------------------------


def mail_url(mail: MailServer) -> str:
    return f"mailto://office:s3cret@127.0.0.1:{mail.port}?from=bridge@example.com&to=boss@example.com"


def test_a_mail_arrives_with_its_login(mail: MailServer, deliver: Deliver) -> None:
    assert deliver(mail_url(mail))

    assert mail.logins == [b"\0office\0s3cret"]
    assert [one.lower() for one in mail.recipients] == ["to:<boss@example.com>"]
    assert "Subject: =?utf-8?" in mail.mails[0]
    assert "text/plain" in mail.mails[0]


@pytest.mark.parametrize(
    ("command", "answer", "failure", "words"),
    [
        ("AUTH", "535 5.7.8 bad login s3cret", Misconfigured, "does not accept user or password"),
        ("EHLO", "250 stand-in", Misconfigured, "does not offer the login"),
        ("AUTH", "454 4.7.0 later", TemporaryFailure, "cannot take it now"),
        ("MAIL", "553 not from here", Misconfigured, "this sender or recipient"),
        ("RCPT", "550 5.1.1 no such user", Misconfigured, "this sender or recipient"),
        ("RCPT", "450 4.2.0 greylisted", TemporaryFailure, "cannot take it now"),
        ("DATA", "554 5.7.1 spam", PermanentFailure, "does not accept this message"),
    ],
)
def test_refusals_of_a_mail_server_are_sorted(
    command: str, answer: str, failure: type[DeliveryFailure], words: str, mail: MailServer, deliver: Deliver
) -> None:
    mail.answers[command] = answer
    raised = failure_of(lambda: deliver(mail_url(mail)))

    assert type(raised) is failure
    assert words in str(raised)
    assert mail.mails == []
