"""The Slack connector does what the core relies on, by an incoming webhook and by a bot."""

from __future__ import annotations

import callbridge_slack

from bridge import Misconfigured, PermanentFailure
from bridge.testing import Answer, ConnectorContract, Place


class TestIncomingWebhook(ConnectorContract):
    (kind,) = callbridge_slack.bridge_connectors()
    # Slack has no use for 410, and none of its webhooks is ever there again: a new URL must be configured.
    failures = ConnectorContract.failures | {"404": Misconfigured, "410": Misconfigured}

    def settings(self, place: Place) -> dict[str, object]:
        return {"webhook_url": f"{place.url}/services/T00000000/B00000000/s3cr3t"}


class TestBot(ConnectorContract):
    (kind,) = callbridge_slack.bridge_connectors()
    failures = ConnectorContract.failures | {
        "404": Misconfigured,
        "invalid_auth": Misconfigured,
        "is_archived": Misconfigured,
        "invalid_blocks": PermanentFailure,
    }

    def settings(self, place: Place) -> dict[str, object]:
        return {"token": "xoxb-s3cr3t-s3cr3t", "channel": "C0123456789", "api_url": place.url}

    def prepare(self, place: Place) -> None:
        place.sink.answer_with(Answer(body=b'{"ok": true, "ts": "1700000000.000100", "channel": "C0123456789"}'))

    def bring_about(self, what: str, place: Place) -> None:
        if "_" in what:
            place.sink.answer_with(Answer(body=b'{"ok": false, "error": "%s"}' % what.encode()))
        else:
            super().bring_about(what, place)
