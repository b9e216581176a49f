"""What is sent: the event itself, or the same in a CloudEvents envelope."""

from __future__ import annotations

import json
from urllib.parse import quote

from bridge import Event


def standard(event: Event) -> bytes:
    """The public JSON form of the event, UTF-8."""
    return event.to_json().encode()


def cloud_event(event: Event) -> bytes:
    """The event as CloudEvents 1.0 in structured mode, UTF-8 JSON.

    `source` is `/callbridge/<source>/<tenant>`, `type` the event's own type, `subject` the id of the call, and `data`
    the event's `data`.
    """
    data = event.model_dump(mode="json")
    path = [event.data.source, event.data.tenant]
    envelope = {
        "specversion": "1.0",
        "id": event.id,
        "source": "/".join(["/callbridge", *(quote(part, safe="") for part in path if part)]),
        "type": event.type,
        "time": data["timestamp"],
        "datacontenttype": "application/json",
        "data": data["data"],
    }
    if event.call:
        envelope["subject"] = event.call.id
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
