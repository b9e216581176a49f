"""The config that `callbridge init` writes: short, and it runs as it is."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from bridge.errors import Fault, SettingsError
from bridge.model import Locale
from bridge.settings import Settings

_TEMPLATE = """\
# The configuration of callbridge. `callbridge check` says what is wrong with it.
# README.md explains every key; config/bridge.toml of the distribution shows them all.

locale = "{locale}"

[server]
host = {host}
port = {port}
{public_url}
[intake]
# The secret in the URL that the PBX posts to. Keep it to yourself; to replace it, put a second one beside it first.
tokens = ["{token}"]

[store]
url = "sqlite:///var/callbridge.db"

[sources.bulutsantralim]
timezone = "Europe/Istanbul"

# Missed calls to a Slack channel: enter your webhook's URL and take away the #.
#[connectors.missed_to_slack]
#kind = "slack"
#on = ["call.missed"]
#webhook_url = "https://hooks.slack.com/services/…"
"""


def write_config(path: Path, *, locale: Locale, host: str, port: int, public_url: str | None) -> str:
    """Write a config with a fresh token; returns the URL to enter in the PBX.

    The file is for its owner's eyes only. Raises SettingsError where a value cannot be used, the file is there already,
    or it cannot be written.
    """
    token = secrets.token_urlsafe(24)
    server = {"host": host, "port": port} | ({"public_url": public_url} if public_url else {})
    Settings.model_validate({"server": server, "intake": {"tokens": [token]}})
    # A JSON string is a TOML string, too.
    line = f"public_url = {json.dumps(public_url)}\n" if public_url else ""
    text = _TEMPLATE.format(locale=locale, host=json.dumps(host), port=port, public_url=line, token=token)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        reason = f"{path} is there already: edit it, or name another file with --config"
        raise SettingsError([Fault("", reason)]) from error
    except OSError as error:
        raise SettingsError([Fault("", f"{path} cannot be written: {error.strerror}")]) from error
    return f"{(public_url or f'http://{host}:{port}').rstrip('/')}/event/{token}"
