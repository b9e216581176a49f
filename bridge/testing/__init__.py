"""The test kit of plugin authors (and of the core's own tests).

Sample events, the context a connector gets, a sink that records what arrives and answers as badly as you like, a whole
bridge in a process of its own, a stand-in for a PBX, and `ConnectorContract`, a suite that checks any connector.

Where pytest runs, its fixtures are there without an import: `sink` (a `RecordingSink`), `start_bridge` (a config
becomes a `BridgeProcess` that is ready), `fake_pbx` (a `FakePbx` that posts to such a bridge) and `each_event` (a test
that takes it runs for a sample of each type of event). `pip install 'callbridge[testing]'` brings pytest. Nothing here
sleeps to hope: what has to wait, waits for something that happens, within a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.memory import MemoryFeed, MemoryHistory, NobodyKnows
from bridge.testing.pbx import ConnectPbx, FakePbx
from bridge.testing.process import BridgeProcess, StartBridge, free_port, running_bridge
from bridge.testing.records import bare_event, connector_context, hostile_event, sample_event, sample_events
from bridge.testing.sink import Answer, Arrival, RecordingSink, recording_sink
from bridge.testing.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from bridge.testing.contract import ConnectorContract, Place

__all__ = [
    "PATIENCE",
    "Answer",
    "Arrival",
    "BridgeProcess",
    "ConnectPbx",
    "ConnectorContract",
    "FakePbx",
    "MemoryFeed",
    "MemoryHistory",
    "NobodyKnows",
    "Place",
    "RecordingSink",
    "StartBridge",
    "bare_event",
    "connector_context",
    "eventually",
    "free_port",
    "hostile_event",
    "recording_sink",
    "running_bridge",
    "sample_event",
    "sample_events",
]


def __getattr__(name: str) -> Any:
    """The contract needs pytest, and all the rest does not."""
    if name in ("ConnectorContract", "Place"):
        try:
            from bridge.testing import contract
        except ModuleNotFoundError as error:
            if error.name != "pytest":
                raise
            raise ImportError(f"{name} needs pytest: pip install 'callbridge[testing]'") from error
        return getattr(contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
