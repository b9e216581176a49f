"""The connector: one request for each event, which logs the call in the CRM."""

from __future__ import annotations

from bridge import CallData, ConnectorContext, Contact, Delivery, Event, HttpResponse, Receipt, Skip, hookimpl
from callbridge_rest.expressions import Misfit, found, texts
from callbridge_rest.placeholders import Missing
from callbridge_rest.request import Request
from callbridge_rest.settings import ConnectorSettings
from callbridge_rest.values import event_values


class RestConnector:
    """Sends every event as the settings say. It keeps no state and may be called from several threads."""

    def __init__(self, settings: ConnectorSettings, context: ConnectorContext) -> None:
        self._request = Request(settings, context.http)
        self._receipt = settings.receipt
        self._skip_unknown = settings.when_unknown == "skip"
        self._directory = settings.directory

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Receipt | Skip:
        """Send the event; only 2xx is success. It is skipped where the URL has no value for a placeholder."""
        contact = self._contact(delivery.event)
        if self._skip_unknown and (contact is None or contact.id is None):
            return Skip("nobody is known with an id of the CRM")
        try:
            response = self._request.send(event_values(delivery.event, contact))
        except Missing as missing:
            return Skip(f"there is no {missing} for `url`")
        response.raise_for_failure()
        return Receipt(text=self._made(response), status=response.status, answer=response.text)

    @hookimpl
    def bridge_check(self) -> str:
        """Get `check_url`; nothing else could be tested without writing."""
        response = self._request.check()
        if response is None:
            return f"{self._request.host}: not tested, as there is no `check_url`"
        response.raise_for_failure()
        return f"{self._request.host}: the credentials work (HTTP {response.status}); nothing was written"

    def _contact(self, event: Event) -> Contact | None:
        contact = event.data.contact if isinstance(event.data, CallData) else None
        if contact is None or self._directory in (None, contact.directory):
            return contact
        return None

    def _made(self, response: HttpResponse) -> str:
        """What to keep of the answer. Failure policy: it is delivered, whatever the answer looks like."""
        try:
            made = " ".join(texts(found(self._receipt, response.json()))) if self._receipt else ""
        except (Misfit, ValueError):
            made = ""
        return made or f"HTTP {response.status}"
