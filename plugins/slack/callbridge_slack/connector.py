"""The connector: one message for each event, by an incoming webhook or by a bot."""

from __future__ import annotations

from typing import Any

from bridge import ConnectorContext, Delivery, Event, Receipt, Skip, hookimpl, message_of
from callbridge_slack import answers
from callbridge_slack.layout import in_own_words, laid_out
from callbridge_slack.settings import SlackSettings
from callbridge_slack.template import MessageTemplate


class SlackConnector:
    """Posts every event into one channel. It keeps no state and may be called from several threads."""

    def __init__(self, settings: SlackSettings, context: ConnectorContext) -> None:
        self._http = context.http
        self._locale = context.locale
        self._template = MessageTemplate(settings.template, context.locale) if settings.template is not None else None
        self._webhook_url = settings.webhook_url.get_secret_value() if settings.webhook_url else None
        self._token = settings.token.get_secret_value() if settings.token else ""
        self._channel = settings.channel
        self._api_url = settings.api_url.get_secret_value().rstrip("/")

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Receipt | Skip:
        """Post the event; a template that writes nothing skips it."""
        payload = self._payload(delivery.event)
        if payload is None:
            return Skip("the template wrote nothing for this event")
        if self._webhook_url:
            response = self._http.request("POST", self._webhook_url, json=payload)
            answers.of_webhook(response)
            return Receipt(text="ok", status=response.status, answer=response.text)
        answer = self._call("chat.postMessage", {"channel": self._channel, **payload})
        return Receipt(text=f"{answer.get('ts', '')} in {answer.get('channel', self._channel)}", status=200)

    @hookimpl
    def bridge_check(self) -> str:
        """Test the token, or the webhook with an empty message, which Slack refuses without posting anything."""
        if self._webhook_url is None:
            answer = self._call("auth.test", {})
            return f"Slack knows the bot {answer.get('user', '?')} in the workspace {answer.get('team', '?')}"
        response = self._http.request("POST", self._webhook_url, json={})
        if response.status != 400 or response.text.strip() not in answers.HOOK_PROBED:
            answers.of_webhook(response)
        return "the webhook exists; no message was posted"

    def _payload(self, event: Event) -> dict[str, Any] | None:
        if self._template is None:
            return laid_out(message_of(event, self._locale))
        text = self._template.render(event)
        return in_own_words(text) if text else None

    def _call(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a method of Slack's Web API and return its answer."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return answers.of_api(self._http.request("POST", f"{self._api_url}/{method}", headers=headers, json=arguments))
