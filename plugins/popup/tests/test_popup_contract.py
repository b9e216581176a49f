"""The popup does what the core relies on. It sends to nobody: it publishes to its feed what its pages show."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

import callbridge_popup
import pytest
from callbridge_popup.board import Board
from callbridge_popup.hub import CALLS
from callbridge_popup.settings import PopupSettings

from bridge import DeliveryFailure, Event, TemporaryFailure
from bridge.testing import ConnectorContract, Place


class TestContract(ConnectorContract):
    (kind,) = callbridge_popup.bridge_connectors()
    failures: ClassVar[Mapping[str, type[DeliveryFailure]]] = {"no store": TemporaryFailure}
    delays = ()
    sample = "call.ringing"

    def settings(self, place: Place) -> dict[str, object]:
        return {
            "crm_url": "https://crm.example/contacts/{contact_id}",
            "new_url": "https://crm.example/contacts/new?phone={e164}",
            "allowed_origins": ["https://crm.example"],
            "streams": 3,
            "ringing_for": "3m",
        }

    @pytest.mark.parametrize("on", [["call.ringing"], ["call.*"], ["leg.ended"]])
    def test_an_on_with_which_cards_would_not_leave_is_told(self, on: list[str], place: Place) -> None:
        (fault,) = self.load(place, on=on).faults
        assert fault.path.endswith(".on")
        assert 'write on = ["call.*", "leg.ended"]' in fault.message

    def copies(self, event: Event, place: Place) -> int:
        """How many cards of the call are on the screen it rings at."""
        board = Board(PopupSettings.model_validate(self.settings(place)))
        for item in place.feed.read([CALLS]):
            board.take(item.id, item.data, time.time())
        return len(board.cards(["1001"], 0, time.time()))
