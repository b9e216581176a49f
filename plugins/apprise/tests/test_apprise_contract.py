"""The connector does what the core relies on, by way of a service that apprise reaches by HTTP."""

from __future__ import annotations

import callbridge_apprise
import pytest

from bridge import Misconfigured
from bridge.testing import ConnectorContract, Place

from .conftest import Connect


class TestContract(ConnectorContract):
    (kind,) = callbridge_apprise.bridge_connectors()
    # In every service the address is the token or the chat.
    failures = ConnectorContract.failures | {"404": Misconfigured}

    @pytest.fixture(autouse=True)
    def _with_a_shared_process(self, connect: Connect) -> None:
        """The process that holds apprise takes half a second to start."""

    def settings(self, place: Place) -> dict[str, object]:
        return {"urls": [f"{place.url.replace('http', 'json')}/a-secret-path?+Authorization=hunter2-hunter2"]}
