"""What a reply of the worker means: what went wrong, for people, and whether trying again can help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge import HttpResponse, Misconfigured, PermanentFailure, TemporaryFailure

MEND = "mend it in `urls`"
NETWORK = {
    "broken": "the connection broke; check the network and the address",
    "certificate": "the certificate of the service was refused; check address and certificate",
    "name": "the name of the service cannot be resolved; check the address and the name server",
    "refused": "the service refused the connection; check the address and whether it runs",
    "timeout": "the service did not answer in time; check that it can be reached",
    "tls": "no TLS connection to the service; check address and port",
}
NO_SUCH_CHAT = ("chat not found", "chat_id is empty", "unknown channel", "unknown webhook", "channel_not_found")
"""What services say in an answer of status 400 where it is not the message they do not like, but the target."""


def raise_failure(reply: Mapping[str, Any]) -> None:
    """Return where the reply says that it was done, else raise what it means."""
    match reply:
        case {"unusable": str(why)}:
            raise Misconfigured(f"the URL {why}; {MEND}")
        case {"status": int(status), "headers": dict(headers), "answer": str(answer)}:
            _raise_for_answer(HttpResponse(status, headers, answer.encode(errors="replace")))
        case {"fault": "login" | "recipient" | "unsupported" | "mail" as kind, **rest}:
            _raise_for_mail(kind, rest.get("code") or 0)
        case {"fault": str(kind)}:
            raise TemporaryFailure(NETWORK.get(kind, NETWORK["broken"]))
        case {"said": str(said)}:
            # Failure policy: apprise does not say why. What is lasting dies at the end of the schedule.
            raise TemporaryFailure(f"apprise could not send it: {' '.join(said.split()) or 'it does not say why'}")


def _raise_for_answer(response: HttpResponse) -> None:
    record: dict[str, Any] = {"status": response.status, "answer": response.text}
    if response.status == 404:
        raise Misconfigured(f"the service knows no such address or token (404 Not Found); {MEND}", **record)
    if response.status == 400 and any(words in response.text.lower() for words in NO_SUCH_CHAT):
        raise Misconfigured(f"the service knows no such chat (400 Bad Request); {MEND}", **record)
    response.raise_for_failure()
    raise TemporaryFailure("the service answered, and apprise could not make sense of it", **record)


def _raise_for_mail(kind: str, code: int) -> None:
    """4xx passes by itself (greylisting, a full mailbox); what is refused for good depends on what was refused."""
    if 400 <= code <= 499:
        raise TemporaryFailure("the mail server cannot take it now", status=code)
    if kind == "login":
        raise Misconfigured(f"the mail server does not accept user or password; {MEND}", status=code)
    if kind == "unsupported":
        raise Misconfigured(f"the mail server does not offer the login or the encryption the URL asks for; {MEND}")
    if kind == "recipient":
        raise Misconfigured(f"the mail server does not accept this sender or recipient; {MEND}", status=code)
    raise PermanentFailure("the mail server does not accept this message", status=code)
