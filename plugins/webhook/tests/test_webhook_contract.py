"""The webhook connector does what the core relies on."""

from __future__ import annotations

import callbridge_webhook

from bridge.testing import ConnectorContract, Place


class TestContract(ConnectorContract):
    (kind,) = callbridge_webhook.bridge_connectors()

    def settings(self, place: Place) -> dict[str, object]:
        return {
            "url": f"{place.url}/a-secret-path",
            "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            "headers": {"Authorization": "Bearer hunter2-hunter2"},
        }
