"""The connector: what happens to a call is published, and the pages show it."""

from __future__ import annotations

from collections.abc import Iterable

import click
from flask import Blueprint

from bridge import (
    EVENT_TYPES,
    BridgeError,
    CallData,
    ConnectorContext,
    Delivery,
    Fault,
    SettingsError,
    Skip,
    TemporaryFailure,
    hookimpl,
)
from callbridge_popup.board import FORGET_AFTER, event_item
from callbridge_popup.commands import commands
from callbridge_popup.hub import CALLS, Hub
from callbridge_popup.lookups import Lookups
from callbridge_popup.pages import Pages
from callbridge_popup.settings import PopupSettings
from callbridge_popup.signing_in import SigningIn

NEEDED = tuple(one for one in EVENT_TYPES if one.startswith("call.") or one == "leg.ended")
"""Event types without which cards would not come, or not leave the screens."""


class Popup:
    """Publishes to the feed; everything that is on a screen comes from there, in whatever process it was published.

    Raises SettingsError where `on` leaves out what it needs.
    """

    def __init__(self, settings: PopupSettings, context: ConnectorContext) -> None:
        if missing := [one for one in NEEDED if one not in context.events]:
            reason = (
                f'cards would not come or not leave without {", ".join(missing)}: write on = ["call.*", "leg.ended"]'
            )
            raise SettingsError([Fault(f"connectors.{context.name}.on", reason)])
        self._settings = settings
        self._context = context
        self._hub = Hub(settings, context.feed, context.locale, context.log)
        self._lookups = Lookups(context.feed, context.directories, context.history, context.log)

    @hookimpl
    def bridge_start(self) -> None:
        """Read what is on the screens."""
        self._hub.start()

    @hookimpl
    def bridge_stop(self) -> None:
        """End the streams: the browsers come back as soon as the bridge does."""
        self._hub.stop()
        self._lookups.stop()

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Skip | None:
        """Publish the event; who the number belongs to follows."""
        event = delivery.event
        if not isinstance(event.data, CallData) or event.type == "other":
            return Skip("nothing that a screen shows")
        keep = self._keep(event.data)
        try:
            self._context.feed.publish(CALLS, event_item(event, event.data), keep=keep)
        except BridgeError as error:
            raise TemporaryFailure(str(error)) from error
        self._lookups.want(event.data, keep)
        return None

    @hookimpl
    def bridge_pages(self) -> Blueprint:
        """The page, the stream and the script for web CRMs."""
        signing_in = SigningIn(self._hub, self._context.feed)
        return Pages(self._context, self._hub, signing_in, self._settings.allowed_origins).blueprint()

    @hookimpl
    def bridge_commands(self) -> Iterable[click.Command]:
        """`grant`, `grants` and `revoke`."""
        return commands(self._context)

    def _keep(self, data: CallData) -> float:
        """Seconds: as long as a card may be up that this event has to do with, or has to take away."""
        talks = data.call.answered_at is not None or data.call.connected_user is not None
        return (self._settings.talking_for if talks else self._settings.ringing_for) + FORGET_AFTER
