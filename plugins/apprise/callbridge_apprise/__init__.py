"""The apprise connector of callbridge: every event as a message wherever people chat."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import ConnectorKind, hookimpl
from callbridge_apprise.connector import AppriseConnector
from callbridge_apprise.settings import AppriseSettings


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    """The kind `apprise`. Each URL is a target. A repeat is a second message: few services have a key to drop it by."""
    return [
        ConnectorKind(
            name="apprise",
            create=AppriseConnector,
            settings=AppriseSettings,
            targets=lambda settings: settings.targets,
            wants_contact=True,
        )
    ]
