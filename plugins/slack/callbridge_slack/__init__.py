"""The Slack connector of callbridge: every event as a message in a channel."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import ConnectorKind, hookimpl
from callbridge_slack.connector import SlackConnector
from callbridge_slack.settings import SlackSettings


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    """The kind `slack`. A repeat is a second message: Slack has no key by which to drop it."""
    return [ConnectorKind(name="slack", create=SlackConnector, settings=SlackSettings, wants_contact=True)]
