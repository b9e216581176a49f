"""The popup connector of callbridge: the caller's card on the screen of the agent whose phone rings."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import ConnectorKind, hookimpl
from callbridge_popup.connector import Popup
from callbridge_popup.settings import PopupSettings


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    """The kind `popup`. It is quick or not at all: a card that rings a minute late is wrong."""
    return [
        ConnectorKind(
            name="popup",
            create=Popup,
            settings=PopupSettings,
            idempotent=True,
            max_age=60.0,
            timeout=5.0,
            concurrency=16,
            retry_schedule=(0.2, 0.5, 1, 2, 5, 10),
            order_hold=1.0,
            streams=lambda settings: settings.streams,
        )
    ]
