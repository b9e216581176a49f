"""Everything the bridge writes is searched for every secret of a config that has all plugins, at log level debug, with
destinations that throw every request back."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bridge.cli import main
from bridge.testing import Answer, Arrival, BridgeProcess, RecordingSink, eventually, recording_sink, running_bridge
from tests.conftest import MISSED

TOKENS = ["a-token-of-the-office", "tökén +%25 of tomorrow"]
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRETS = [
    *TOKENS,
    "T0AAAAAAA/B0BBBBBBB/slackWebhookSecret1",
    "xoxb-slack-token-0123456789",
    SIGNING,
    "crm-query-secret-77",
    "crm-password-88",
    "header-s3cret-99",
    "dav password 11",
    "dav-url-password-12",
    "proxy-password-13",
    "apprise-password-14",
    "apprise-path-token-15",
    "rest-header-16",
    "rest-named-secret-17",
    "rest-directory-18",
]

CONFIG = """
locale = "tr"
[intake]
tokens = {tokens}
[log]
level = "debug"
[http]
{http}
[connectors.slack_hook]
kind = "slack"
on = ["*"]
webhook_url = "{url}/services/T0AAAAAAA/B0BBBBBBB/slackWebhookSecret1"
[connectors.slack_api]
kind = "slack"
on = ["*"]
token = "xoxb-slack-token-0123456789"
channel = "#calls"
api_url = "{url}/slack"
[connectors.crm]
kind = "webhook"
on = ["*"]
url = "{login}/crm?key=crm-query-secret-77"
secrets = ["{signing}"]
headers = {{Authorization = "Bearer header-s3cret-99"}}
retry = {{schedule = []}}
[connectors.nobody]
kind = "webhook"
on = ["*"]
url = "http://127.0.0.1:9/crm-query-secret-77"
[connectors.broken]
kind = "webhook"
on = ["*"]
url = "crm-query-secret-77"
[connectors.metadata]
kind = "webhook"
on = ["*"]
url = "http://169.254.169.254/crm-query-secret-77"
[connectors.sheet]
kind = "spreadsheet"
target = "google"
on = ["call.missed"]
every = "1s"
spreadsheet = "1aBcD"
credentials = "{key}"
api_url = "{url}/sheets"
[connectors.chats]
kind = "apprise"
on = ["*"]
urls = ["{apprise}/apprise/apprise-path-token-15"]
retry = {{schedule = []}}
[connectors.log]
kind = "rest"
on = ["*"]
url = "{url}/log/{{named}}"
headers = {{X-Key = "rest-header-16"}}
secrets = {{named = "rest-named-secret-17"}}
body = {{said = "{{{{ named }}}} {{{{ event_type }}}}"}}
retry = {{schedule = []}}
[directories.api]
kind = "rest"
url = "{url}/api?phone={{e164}}&key=rest-directory-18"
headers = {{X-Key = "rest-header-16"}}
items = "results"
fields = {{name = "name", phone = ["phone"]}}
[directories.dav]
kind = "contacts"
carddav = "{url}/dav"
username = "ayse"
password = "dav password 11"
[directories.dav_login]
kind = "contacts"
carddav = "{dav_login}/dav"
"""

PATHS = ["/healthz", "/readyz", "/metrics", "/event", "/event/{0}", "/event/{0}/{0}/{0}", "/{0}", "/event?token={0}"]
COMMANDS = [
    *(["check"], ["check", "--online"], ["plugins"], ["connectors"], ["calls"], ["events"], ["deliveries"]),
    *(["attempts"], ["quarantine"], ["whois", "+902123205062"], ["export", "+902123205062"], ["replay", "--dead"]),
    *(["simulate", "missed", "--to", "http://127.0.0.1:9/event/a-token-of-the-office"],),
]


def echo(arrival: Arrival) -> Answer:
    """Refuse a request and say all of it."""
    said = json.dumps([arrival.path, dict(arrival.headers), arrival.body.decode("utf-8", "replace")]).encode()
    status = next((status for part, status in STATUSES.items() if part in arrival.path), 400)
    return Answer(status, said, {"Content-Type": "application/json", "X-Echo": arrival.path})


STATUSES = {"services": 500, "slack": 200, "crm": 403, "dav": 401, "token": 400}


@pytest.fixture(params=["", 'proxy = "{proxy}"'], ids=["direct", "by proxy"])
def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[BridgeProcess, RecordingSink]]:
    with recording_sink() as sink:
        sink.answer_with(echo)
        config = CONFIG.format(
            url=sink.url,
            login=sink.url.replace("://", "://office:crm-password-88@"),
            apprise=sink.url.replace("http://", "json://office:apprise-password-14@"),
            dav_login=sink.url.replace("://", "://ayse:dav-url-password-12@"),
            tokens=json.dumps(TOKENS, ensure_ascii=False),
            signing=SIGNING,
            key=key_file(tmp_path, sink),
            http=request.param.format(proxy=sink.url.replace("://", "://office:proxy-password-13@")),
        )
        with running_bridge(tmp_path, config) as bridge:
            yield bridge, sink


def key_file(folder: Path, sink: RecordingSink) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()
    account = {"type": "service_account", "client_email": "b@example.iam", "token_uri": f"{sink.url}/token"}
    (folder / "key.json").write_text(json.dumps({**account, "private_key": text}))
    return folder / "key.json"


def forms_of(secret: str) -> Iterator[bytes]:
    logins = [f"{user}:{secret}" for user in ("office", "ayse", "anybody")]
    for text in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield text.encode()
        yield json.dumps(text)[1:-1].encode()
    yield from (b64encode(login.encode()) for login in logins)


def test_nothing_that_the_bridge_writes_holds_a_secret(bridge: tuple[BridgeProcess, RecordingSink]) -> None:
    office, sink = bridge
    said = [*talk_to(office)]
    eventually(
        lambda: len({arrival.path.partition("?")[0] for arrival in list(sink.arrivals)}) >= 5, "all destinations"
    )
    kinds = {"crm", "slack_hook", "slack_api", "nobody", "metadata", "sheet", "chats", "log"}
    eventually(lambda: {row["connector"] for row in office.rows("attempts")} >= kinds, "a try of each connector")
    for words in COMMANDS:
        done = CliRunner().invoke(main, [*words, "--config", str(office.config)])
        said.append(f"{words} {done.output}".replace(words[-1] if words[0] == "simulate" else "\0", "").encode())
    said += [office.get(path).content for path in ("/readyz", "/metrics")]
    office.stop()

    written = {"answers and commands": b"\n".join(said), "log": office.log.read_bytes()}
    written |= {file.name: file.read_bytes() for file in office.folder.glob("callbridge.db*")}
    assert b"DEBUG" in written["log"]
    assert b"***" in written["callbridge.db"] + written["answers and commands"]
    key = json.loads((office.folder / "key.json").read_text())["private_key"].splitlines()
    wanted = {form for secret in [*SECRETS, *key[1:-1]] for form in forms_of(secret)}
    assert [(place, form) for place, content in written.items() for form in wanted if form in content] == []


def talk_to(office: BridgeProcess) -> Iterator[bytes]:
    """Posts that are good, bad and strange, with the tokens wherever they can stand; gives the answers."""
    for number, token in enumerate(TOKENS):
        form = {**MISSED, "call_uuid": str(number), "note": token, token: "x"}
        place = quote(token, safe="")
        answers = [
            office.post(f"/event/{place}", form),
            office.post(f"/event/bulutsantralim?token={place}", {**form, "call_uuid": f"b{number}"}),
            office.post("/event", {"no_call": token}, auth=("anybody", token.encode())),
            office.post(f"/event/{place}", f"no_call={place}".encode()),
            office.post(f"/event/{place}", json.dumps({"token": token}).encode()),
            office.post(f"/event/nobody/{place}", form),
            office.post(f"/event/wrong{place}", form),
        ]
        gets = (office.get(path.format(place)) for path in PATHS)
        for answer in chain(answers, gets):
            yield answer.content + str(dict(answer.headers)).encode()
