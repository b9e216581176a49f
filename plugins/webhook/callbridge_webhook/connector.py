"""The connector: one signed request for each event."""

from __future__ import annotations

import time
from collections.abc import Callable

from bridge import ConnectorContext, Delivery, Event, Misconfigured, Receipt, TargetGone, hookimpl
from callbridge_webhook import bodies
from callbridge_webhook.settings import WebhookSettings
from callbridge_webhook.signing import read_secret, signed_headers
from callbridge_webhook.template import BodyTemplate


class WebhookConnector:
    """Sends every event to one URL. It keeps no state and may be called from several threads."""

    def __init__(self, settings: WebhookSettings, context: ConnectorContext) -> None:
        self._url = settings.url.get_secret_value()
        self._method = settings.method
        self._keys = [read_secret(secret.get_secret_value()) for secret in settings.secrets]
        self._http = context.http
        content_type, self._body = _body_of(settings)
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        if "content-type" not in {name.lower() for name in self._headers}:
            self._headers["Content-Type"] = content_type

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Receipt:
        """Send the event. Only 2xx is success; `webhook-id` is the same on every try."""
        body = self._body(delivery.event)
        signature = signed_headers(self._keys, delivery.event.id, int(time.time()), body)
        response = self._http.request(self._method, self._url, headers=self._headers | signature, body=body)
        response.raise_for_failure()
        return Receipt(text=f"HTTP {response.status}", status=response.status, answer=response.text)

    @hookimpl
    def bridge_check(self) -> str:
        """Ask whether somebody answers at the URL. No request but a real one tells whether it takes events."""
        headers = {name: value for name, value in self._headers.items() if name.lower() != "content-type"}
        response = self._http.request("OPTIONS", self._url, headers=headers)
        answer = response.text
        match response.status:
            case 401 | 403:
                raise Misconfigured(
                    f"the receiver refuses us (HTTP {response.status}): mend `headers` or the token in `url`",
                    status=response.status,
                    answer=answer,
                )
            case 404:
                raise Misconfigured("the receiver has nothing there (HTTP 404): mend `url`", status=404, answer=answer)
            case 410:
                raise TargetGone("the receiver is gone for good (HTTP 410): mend `url`", status=410, answer=answer)
        return f"reachable: OPTIONS was answered with HTTP {response.status}; no event was sent"


def _body_of(settings: WebhookSettings) -> tuple[str, Callable[[Event], bytes]]:
    """The content type and the maker of the bodies."""
    if settings.template is not None:
        return "application/json", BodyTemplate(settings.template).render
    if settings.format == "cloudevents":
        return "application/cloudevents+json; charset=utf-8", bodies.cloud_event
    return "application/json", bodies.standard
