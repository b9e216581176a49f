"""Any CRM with an HTTP API, by configuration alone: who has a number, and a log of the calls."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import ConnectorKind, DirectoryKind, hookimpl
from callbridge_rest.connector import RestConnector
from callbridge_rest.directory import RestDirectory
from callbridge_rest.settings import ConnectorSettings, DirectorySettings


@hookimpl
def bridge_directories() -> Iterable[DirectoryKind]:
    """The kind `rest` of directories: asks the CRM who has a number."""
    return [DirectoryKind(name="rest", create=RestDirectory, settings=DirectorySettings)]


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    """The kind `rest` of connectors: writes the call into the CRM. Whether a repeat is harmless is the CRM's affair."""
    return [ConnectorKind(name="rest", create=RestConnector, settings=ConnectorSettings, wants_contact=True)]
