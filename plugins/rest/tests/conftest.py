"""A CRM that answers as it is told, and a directory and a connector as the core would make them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from callbridge_rest.connector import RestConnector
from callbridge_rest.directory import RestDirectory
from callbridge_rest.settings import ConnectorSettings, DirectorySettings

from bridge import Contact, DirectoryContext, HttpClient, Number
from bridge.testing import RecordingSink, connector_context, recording_sink

FIELDS = {"name": "name", "company": "company", "id": "id", "note": "note", "phone": ["phone", "mobile"]}


@pytest.fixture
def crm() -> Iterator[RecordingSink]:
    """A real HTTP server on the loopback interface."""
    with recording_sink() as sink:
        yield sink


@pytest.fixture
def http() -> Iterator[HttpClient]:
    with HttpClient(timeout=5.0) as client:
        yield client


@pytest.fixture
def directory(http: HttpClient) -> Callable[..., RestDirectory]:
    """Make a directory of settings as they stand in the config."""
    context = DirectoryContext("crm", 5.0, http, logging.getLogger("callbridge.directories.crm"), "TR")
    return lambda **settings: RestDirectory(DirectorySettings.model_validate({"fields": FIELDS} | settings), context)


@pytest.fixture
def connector() -> Iterator[Callable[..., RestConnector]]:
    """Make a connector of settings as they stand in the config."""
    context = connector_context("crm_log")
    yield lambda **settings: RestConnector(ConnectorSettings.model_validate(settings), context)
    context.http.close()


@pytest.fixture
def look_up() -> Callable[..., list[Contact]]:
    """Who has a number (E.164), by a directory."""

    def ask(directory: RestDirectory, number: str = "+902123205062", raw: str = "02123205062") -> list[Contact]:
        return list(directory.bridge_lookup(Number(raw=raw, e164=number, display=raw, kind="external")))

    return ask
