"""The tables. They are the queue: there is no second place an event must be written to.

::

    calls ──< events ──< deliveries ──< attempts        connectors   how each target does (paused, breaker)
                                                        sources      when each PBX last posted, what is doubted
                                                        quarantine   posts no event could be made of
                                                        feed         what connectors publish, each in its own
                                                        turns        when targets with a `rate` were called

Times are seconds since the epoch (UTC), as floats. Ids are text that sorts by time, so that inserts stay at the end of
their index however large a table grows. Migrations live in `migrations/`; this is the schema they lead to. That indexes
are as partial on PostgreSQL stands there alone: to say it here would load SQLAlchemy's PostgreSQL, a tenth of a second,
into every bridge on SQLite.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text, text

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    # JSON of [source, tenant, call id]: one column to look up and to sort by, and no two calls share it.
    Column("key", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("record", Text, nullable=False),  # bridge.calls.CallRecord, JSON
    Column("call", Text, nullable=False),  # bridge.model.Call as it stands now, JSON
    Column("state", Text, nullable=False),
    Column("events", Integer, nullable=False),  # how many were kept: the position of the next one
    Column("first_received_at", Float, nullable=False),
    Column("last_received_at", Float, nullable=False),
    Column("outside_party", Text),  # E.164 of the party at the other end of the line, where it has one
    Index("calls_by_first_received", "first_received_at"),  # which never changes
    Index(
        "calls_by_outside_party",
        "outside_party",
        "first_received_at",
        sqlite_where=text("outside_party IS NOT NULL"),
    ),
)

events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("call_key", Text),
    Column("received_at", Float, nullable=False),
    Column("payload", Text, nullable=False),  # bridge.model.Event, JSON: what every try sends
    Index("events_by_received", "received_at"),
    Index("events_by_call", "call_key"),
)

_PENDING = text("state = 'pending'")

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("call_key", Text),
    Column("call_id", Text),
    Column("position", Integer, nullable=False),  # of the event within its call
    Column("connector", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("state", Text, nullable=False),  # pending, delivered, expired, dead, skipped
    Column("attempts", Integer, nullable=False),  # tries so far, over replays too
    Column("step", Integer, nullable=False),  # steps of the retry schedule used up since the start or the last replay
    Column("due_at", Float, nullable=False),  # when it may be claimed; while leased, when the lease ends
    Column("hold_until", Float),  # a retry that waits holds back later events of its call until then
    Column("lease", Text),  # the token of the claim; every write that ends an attempt is fenced by it
    Column("fresh_from", Float, nullable=False),  # max_age counts from here
    Column("finished_at", Float),
    Column("last_error", Text),
    Column("receipt", Text),
    Column("contact", Text),  # what the directories said ('null': asked, not known), so that a retry says the same
    Index("deliveries_due", "connector", "target", "due_at", sqlite_where=_PENDING),
    Index(
        "deliveries_order",
        "call_key",
        "connector",
        "target",
        "position",
        sqlite_where=_PENDING,
    ),
    Index("deliveries_age", "connector", "fresh_from", sqlite_where=_PENDING),
    Index("deliveries_by_state", "connector", "state", "finished_at"),
    Index("deliveries_by_event", "event_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("delivery_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("outcome", Text, nullable=False),  # delivered, skipped, temporary, permanent, misconfigured
    Column("status", Integer),
    Column("error", Text),
    Column("answer", Text),
    Index("attempts_by_delivery", "delivery_id"),
)

connectors = Table(
    "connectors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("health", Text, nullable=False),  # bridge.health.Health, JSON
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("last_event_at", Float),
    Column("silence_told_at", Float),
    Column("contradictions", Integer, nullable=False),
    Column("contradicted_at", Float),
    Column("contradiction_hint", Text),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Text, primary_key=True),
    Column("received_at", Float, nullable=False),
    Column("source", Text),
    Column("reason", Text, nullable=False),
    Column("raw", Text, nullable=False),  # JSON: the fields, or the body as text
    Index("quarantine_by_received", "received_at"),
)

feed = Table(
    "feed",
    metadata,
    # Of SQLite's integers only the plain one counts up by itself.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("connector", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("published_at", Float, nullable=False),
    Column("expires_at", Float),  # until when it can be read; NULL: until it is removed
    Column("data", Text, nullable=False),  # JSON, the connector's own
    Index("feed_by_channel", "connector", "channel", "id"),
    Index(
        "feed_by_expiry",
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # an id is never used again
)

turns = Table(
    "turns",
    metadata,
    # When a target that may be called only so often was called lately.
    Column("id", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("turns_by_target", "connector", "target", "at"),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    # Written by /readyz: the only way to know that the store can be written is to write it.
    # And what time was kept by, see timekeeping.py and serverclock.py.
    Column("name", Text, primary_key=True),
    Column("beat_at", Float, nullable=False),
)
