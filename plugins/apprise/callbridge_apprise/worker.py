"""The program that holds apprise: it does one job for each socket it is handed, each in a process of its own.

apprise knows no deadline for a whole message: services sleep, read for ever and try again. A process can be killed, a
thread cannot. So each job has a fork of this program, with apprise loaded already, and ends at the deadline at the
latest. It is a program of its own so that callbridge carries neither apprise (some 25 MB), nor what it does to logging,
nor what one of its hundred services does.

It is run by its path, not as a module, as importing the package would load callbridge into it. A job is JSON: `url`,
`deadline` (of the monotonic clock) and, where something is to be sent, `title` and `body`. It is answered at once by a
blank, so that a job that was not taken is known, and then by one of:

- `{}`: done
- `{"unusable": why}`: the URL cannot be used
- `{"status": …, "headers": {…}, "answer": …}`: the last HTTP answer, which was no success
- `{"fault": kind, "code": …}`: what went wrong with the connection or with the mail server
- `{"said": words}`: what apprise said, where it says no more
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import signal
import smtplib
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import requests
import urllib3.exceptions
from apprise import Apprise, AppriseAsset, NotifyFormat, OverflowMode
from apprise.exception import AppriseException
from apprise.manager_plugins import NotificationManager
from apprise.plugins import NotifyBase, url_to_dict

IDLE_SECONDS = 300.0
"""Without a job for so long the program ends, so that its memory is free; it is started again for the next one."""
MOST_ANSWER = 64 * 1024
"""Bytes of an answer that are read."""

FAULTS: tuple[tuple[type[BaseException], str], ...] = (
    (smtplib.SMTPRecipientsRefused, "recipient"),
    (smtplib.SMTPSenderRefused, "recipient"),
    (smtplib.SMTPAuthenticationError, "login"),
    (smtplib.SMTPNotSupportedError, "unsupported"),
    (smtplib.SMTPResponseException, "mail"),
    (ssl.SSLCertVerificationError, "certificate"),
    (ssl.SSLError, "tls"),
    (socket.gaierror, "name"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "timeout"),
    (requests.Timeout, "timeout"),
)
"""What went wrong with a connection, by the exception that says so; the first that fits counts."""

Reply = dict[str, Any]


class TooManyRequests(BaseException):
    """Leaves apprise at once, whatever it catches: it would sleep and try again."""


class Watch(logging.Handler):
    """What happens while apprise sends: it answers with yes or no alone, and tells the rest in its log."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.trouble: requests.Response | OSError | None = None
        """The last that went wrong."""
        self.said = ""

    def emit(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]  # services log what they have just caught, and keep its text alone
        if isinstance(error, OSError) and not isinstance(error, ValueError):
            self.trouble = error
        if record.levelno >= logging.WARNING:
            self.said = record.getMessage()

    def hear(self, answer: requests.Response) -> None:
        """Note an answer, of which no more than so much is read."""
        try:
            with answer:
                body = answer.raw.read(MOST_ANSWER, decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError("the answer broke off") from error
        answer._content, answer._content_consumed = body, True  # type: ignore[attr-defined]  # requests' own cache
        if not 200 <= answer.status_code <= 299:
            self.trouble = answer
        if answer.status_code == 429:
            raise TooManyRequests


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch what apprise logs, and every HTTP exchange it makes, none of which follows a redirect."""
    watch, log = Watch(), logging.getLogger("apprise")
    send, follow = requests.Session.send, requests.Session.get_redirect_target

    def watched(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        answer = send(session, request, **{**options, "stream": True})
        watch.hear(answer)
        return answer

    def nowhere(_session: requests.Session, _answer: requests.Response) -> None:
        """Follow nothing. (allow_redirects=False would still read the whole answer, however long.)"""

    level, propagate = log.level, log.propagate
    log.addHandler(watch)
    log.setLevel(logging.DEBUG)
    log.propagate = False  # what it says may hold secrets
    requests.Session.send = watched  # type: ignore[assignment, method-assign]
    requests.Session.get_redirect_target = nowhere  # type: ignore[assignment, method-assign]
    try:
        yield watch
    finally:
        requests.Session.send = send  # type: ignore[method-assign]
        requests.Session.get_redirect_target = follow  # type: ignore[method-assign]
        log.removeHandler(watch)
        log.setLevel(level)
        log.propagate = propagate


def service_of(url: str, seconds: float) -> NotifyBase | None:
    """The service of a URL, whatever the URL's options say of timeouts and redirects; None where it cannot be used."""
    asset = AppriseAsset(
        app_id="callbridge",
        app_desc="callbridge",
        image_path_mask="",
        image_url_logo="",
        image_url_mask="",
        interpret_emojis=False,
        pem_autogen=False,
        pgp_autogen=False,
        storage_mode="memory",
    )
    service = Apprise.instantiate(url, asset=asset)
    if service is not None:
        service.socket_connect_timeout = service.socket_read_timeout = seconds
        if "overflow" not in dict(parse_qsl(url.partition("?")[2])):
            service.overflow_mode = OverflowMode.TRUNCATE
    return service


def why_unusable(url: str, service: NotifyBase | None) -> str | None:
    """What is wrong with a URL, without showing anything of it."""
    if service is not None:
        return None
    kinds = NotificationManager()  # type: ignore[no-untyped-call]
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme == "msteams" and scheme not in kinds:
        return (
            "Microsoft has retired the connectors of Teams, and apprise knows `msteams://` no more: make a workflow in "
            "Teams and write its URL, or `workflows://…` (https://appriseit.com/services/workflows/)"
        )
    if scheme not in kinds:
        near = difflib.get_close_matches(scheme, kinds.schemas(), n=1)  # type: ignore[no-untyped-call]
        hint = f"; did you mean `{near[0]}://`?" if near else " (https://appriseit.com/services lists those it knows)"
        return f"apprise knows no service with such a URL{hint}"
    kind = kinds[scheme]
    if not kind.enabled:
        needs = kind.requirements.get("packages_required") or "other packages"
        return f"{kind.service_name} needs {needs if isinstance(needs, str) else ', '.join(needs)}: install that"
    return f"is no complete URL of {kind.service_name}: see {kind.setup_url}"


def do(job: Reply) -> Reply:
    """Do a job: look at a URL, or send a message."""
    url = job["url"]
    seconds = max(0.1, job["deadline"] - time.monotonic())
    with watching() as watch:
        service = service_of(url, seconds)
        if (why := why_unusable(url, service)) is not None or service is None:
            return {"unusable": why}
        if "body" not in job:
            return {}
        watch.trouble, watch.said = None, ""
        try:
            if service.notify(title=job["title"], body=job["body"], body_format=NotifyFormat.TEXT):
                return {}
        except TooManyRequests:
            pass
        except AppriseException as error:
            return {"unusable": str(error)}
        except OSError as error:
            watch.trouble = error
        except Exception as error:  # noqa: BLE001  # one of a hundred services
            watch.said = f"{type(error).__name__} in the service's code"
        return reply_of(watch)


def reply_of(watch: Watch) -> Reply:
    """What went wrong, in the terms of the protocol above."""
    match watch.trouble:
        case requests.Response() as answer:
            headers = {name: answer.headers[name] for name in ("Retry-After", "Date") if name in answer.headers}
            return {"status": answer.status_code, "headers": headers, "answer": answer.text[:MOST_ANSWER]}
        case OSError() as error:
            return fault_of(error)
    return {"said": watch.said}


def fault_of(fault: OSError) -> Reply:
    """The kind of a fault of the connection or of a mail server; its text may hold secrets and stays here."""
    error: BaseException | None = fault
    while error is not None:
        for kind, name in FAULTS:
            if isinstance(error, kind):
                return {"fault": name, "code": _smtp_code(error)}
        error = error.__cause__ or error.__context__
    return {"fault": "broken", "code": None}


def _smtp_code(error: BaseException) -> int | None:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next((code for code, _ in error.recipients.values()), None)
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None


def attend(connection: socket.socket) -> None:
    """Do the job that comes by a connection; at its deadline the process is killed."""
    with connection:
        connection.sendall(b" ")
        job = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
        signal.setitimer(signal.ITIMER_REAL, max(0.001, job["deadline"] - time.monotonic()))
        connection.sendall(json.dumps(do(job)).encode())


def main() -> None:
    """Serve until nobody is left to hand over a job, or none has come for long."""
    # It ends when callbridge does: a signal to all of a service's processes must not end what is under way.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(fileno=0)
    url_to_dict("json://localhost")  # type: ignore[no-untyped-call]  # loads every service, once for all forks
    control.settimeout(IDLE_SECONDS)
    while True:
        try:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except TimeoutError:
            return
        if not descriptors:
            return
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                attend(socket.socket(fileno=descriptors[0]))
            finally:
                os._exit(0)
        os.close(descriptors[0])


if __name__ == "__main__":
    main()
