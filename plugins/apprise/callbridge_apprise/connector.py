"""The connector: one message for each event and URL."""

from __future__ import annotations

from collections.abc import Iterator

from bridge import (
    ConnectorContext,
    Delivery,
    Fault,
    Misconfigured,
    Receipt,
    SettingsError,
    Skip,
    TemporaryFailure,
    hookimpl,
    message_of,
)
from callbridge_apprise.failures import raise_failure
from callbridge_apprise.process import Worker
from callbridge_apprise.settings import AppriseSettings, refused_option
from callbridge_apprise.texts import as_text, own_words, title_of

CHECK_SECONDS = 10.0
"""Seconds apprise may take to look at a URL, its own start included."""


class AppriseConnector:
    """Sends every event to the delivery's target. It may be called from several threads.

    Raises SettingsError for each URL that apprise cannot use; no error shows a URL.
    """

    def __init__(self, settings: AppriseSettings, context: ConnectorContext) -> None:
        urls = [url.get_secret_value() for url in settings.urls]
        self._worker = Worker()
        faults = [Fault(f"connectors.{context.name}.urls.{index}", why) for index, why in self._faults(urls)]
        if faults:
            self._worker.stop()
            raise SettingsError(faults)
        self._locale = context.locale
        self._timeout = context.timeout
        self._template = own_words(settings.template, context.locale) if settings.template is not None else None
        self._urls = dict(zip(settings.targets, urls, strict=True))

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Receipt | Skip:
        """Send the event to one URL; a template that writes nothing skips it."""
        url = self._urls.get(delivery.target)
        if url is None:
            raise Misconfigured("this target is no longer among `urls`")
        message = message_of(delivery.event, self._locale)
        body = self._template.render(delivery.event) if self._template is not None else as_text(message)
        if not body:
            return Skip("the template wrote nothing for this event")
        job = {"url": url, "title": title_of(delivery.event, message), "body": body}
        raise_failure(self._worker.ask(job, self._timeout))
        return Receipt(text=f"sent to {delivery.target}")

    @hookimpl
    def bridge_stop(self) -> None:
        """End the process that holds apprise."""
        self._worker.stop()

    def _faults(self, urls: list[str]) -> Iterator[tuple[int, str]]:
        """What is wrong with which of the URLs."""
        for index, url in enumerate(urls):
            if url in urls[:index]:
                yield index, "the same URL stands there already"
            elif why := refused_option(url) or self._why_unusable(url):
                yield index, why

    def _why_unusable(self, url: str) -> str | None:
        try:
            why: str | None = self._worker.ask({"url": url}, CHECK_SECONDS).get("unusable")
        except TemporaryFailure as failure:
            return str(failure)
        return why
