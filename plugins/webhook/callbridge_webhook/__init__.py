"""The webhook connector of callbridge: every event as a signed HTTP request."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import ConnectorKind, hookimpl
from callbridge_webhook.connector import WebhookConnector
from callbridge_webhook.settings import WebhookSettings


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    """The kind `webhook`. A repeat is harmless: it carries the same `webhook-id`, by which a receiver drops it."""
    return [
        ConnectorKind(
            name="webhook",
            create=WebhookConnector,
            settings=WebhookSettings,
            idempotent=True,
            wants_contact=True,
        )
    ]
