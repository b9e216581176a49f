"""What connectors publish in their feeds: written, read on from an id, forgotten when it is old."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, or_, select, update

from bridge.services import FeedItem
from bridge.store import schema
from bridge.store.dialects import PUBLISHED, dialect_of

CHUNK = 1000
"""Rows a transaction of the sweeping: the intake must not wait long for the lock."""
LARGEST_ID = 2**63 - 1

Published = tuple[str, str, float, float | None, str]
"""Connector, channel, when (seconds since the epoch), until when it may be read (None: for ever), the data as JSON."""


def publish(connection: Connection, items: Sequence[Published]) -> list[int]:
    """Insert items; returns their ids, which grow in the order of the commits: who reads on from one misses nothing."""
    columns = ("connector", "channel", "published_at", "expires_at", "data")
    dialect = dialect_of(connection)
    dialect.lock_feeds(connection)
    dialect.announce(connection, PUBLISHED, [""])
    return [connection.execute(_INSERT, dict(zip(columns, item, strict=True))).scalar_one() for item in items]


def read(
    connection: Connection, connector: str, channels: Collection[str], after: int, now: float, limit: int
) -> list[FeedItem]:
    """The items of channels that come after an id and can still be read, the oldest first."""
    query = select(_FEED.c.id, _FEED.c.channel, _FEED.c.published_at, _FEED.c.data)
    query = query.where(_readable(connector, channels, after, now)).order_by(_FEED.c.id).limit(limit)
    return [
        FeedItem(row.id, row.channel, datetime.fromtimestamp(row.published_at, UTC), json.loads(row.data))
        for row in connection.execute(query)
    ]


def has_newer(connection: Connection, connector: str, channels: Collection[str], after: int, now: float) -> bool:
    """Whether `read` would find something."""
    query = select(_FEED.c.id).where(_readable(connector, channels, after, now)).limit(1)
    return connection.execute(query).first() is not None


def newest(connection: Connection) -> int:
    """The newest id of all feeds; 0 before the first."""
    return connection.execute(select(func.max(_FEED.c.id))).scalar() or 0


def newest_since(connection: Connection, after: int) -> list[tuple[str, str, int]]:
    """Each (connector, channel) that got something after an id, with the newest id in it."""
    query = select(_FEED.c.connector, _FEED.c.channel, func.max(_FEED.c.id)).where(_FEED.c.id > after)
    return [tuple(row) for row in connection.execute(query.group_by(_FEED.c.connector, _FEED.c.channel))]


def remove(connection: Connection, channels: Sequence[tuple[str, str, float]]) -> list[None]:
    """Have what was published to channels, as (connector, channel, now), be too old from now on."""
    for connector, channel, now in channels:
        of_channel = and_(_FEED.c.connector == connector, _FEED.c.channel == channel)
        connection.execute(update(_FEED).where(of_channel).values(expires_at=now))
    return [None] * len(channels)


def sweep(connection: Connection, moments: Sequence[float]) -> list[int]:
    """Delete up to a chunk of what cannot be read any more; returns how many rows.

    The newest row stays, so that nobody's memory of an id is ever ahead of the feed.
    """
    count = connection.execute(delete(_FEED).where(_FEED.c.id.in_(_old(max(moments)).limit(CHUNK)))).rowcount
    return [count] * len(moments)


def needs_sweeping(connection: Connection, now: float) -> bool:
    """Whether a sweep would find something: reading costs less than taking the write lock for nothing."""
    return connection.execute(_old(now).limit(1)).first() is not None


def _old(now: float) -> Select[tuple[int]]:
    newest_of_all = select(func.max(_FEED.c.id)).scalar_subquery()
    return select(_FEED.c.id).where(_FEED.c.expires_at <= now, _FEED.c.id < newest_of_all)


def _readable(connector: str, channels: Collection[str], after: int, now: float) -> ColumnElement[bool]:
    return and_(
        _FEED.c.connector == connector,
        _FEED.c.channel.in_(channels),
        _FEED.c.id > min(max(after, 0), LARGEST_ID),
        or_(_FEED.c.expires_at.is_(None), _FEED.c.expires_at > now),
    )


_FEED = schema.feed
_INSERT = insert(_FEED).returning(_FEED.c.id)
