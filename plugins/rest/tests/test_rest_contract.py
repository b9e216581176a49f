"""The connector does what the core relies on, for any CRM."""

from __future__ import annotations

import callbridge_rest

from bridge.testing import ConnectorContract, Place


class TestContract(ConnectorContract):
    (kind,) = callbridge_rest.bridge_connectors()
    # A body may be any structure.
    wrong = {"body": "{no JSON"}  # noqa: RUF012  # as the contract declares it

    def settings(self, place: Place) -> dict[str, object]:
        return {
            "url": f"{place.url}/a-secret-path/calls?key={{api_key}}",
            "headers": {"Authorization": "Bearer hunter2-hunter2", "Idempotency-Key": "{event_id}"},
            "secrets": {"api_key": "s3cret-key"},
            "body": {"title": "{{ event_type }}: {{ contact_name or display }}"},
            "receipt": "id",
            "check_url": f"{place.url}/a-secret-path/me",
        }
