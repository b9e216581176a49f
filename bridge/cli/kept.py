"""What is kept: `events`, `calls`, `deliveries`, `attempts`, `quarantine`; `replay` and `prune`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from bridge.cli.common import Duration, config_option, json_option, limit_option, reading, row_limit, show, writing
from bridge.errors import BridgeError


@click.command()
@config_option
@json_option
@limit_option
def events(path: Path | None, as_json: bool, limit: int | None) -> None:
    """Every event that was kept."""
    from bridge.store import queries

    columns = ["data.received_at", "type", "data.call.caller.display", "data.call.called.display", "id"]
    with reading(path) as connection:
        rows = queries.events(connection, limit=row_limit(limit, as_json))
        show(rows, columns, as_json, "no events yet")


@click.command()
@config_option
@json_option
@limit_option
@click.option("--missed", is_flag=True, help="Only missed calls.")
@click.option("--since", type=Duration(), help="Only calls of the last while, such as 24h.")
def calls(path: Path | None, as_json: bool, limit: int | None, missed: bool, since: float | None) -> None:
    """The calls, as they stand now."""
    from bridge.store import queries

    columns = ["started_at", "direction", "state", "caller.display", "called.display", "rang", "wait_seconds"]
    with reading(path) as connection:
        rows = queries.calls(
            connection,
            state="missed" if missed else None,
            since=None if since is None else time.time() - since,
            limit=row_limit(limit, as_json),
        )
        show(rows, [*columns, "talk_seconds", "cause_text"], as_json, "no calls")


@click.command()
@config_option
@json_option
@limit_option
@click.option("--state", type=click.Choice(["pending", "delivered", "expired", "dead", "skipped"]))
@click.option("--connector", help="Only of this connector.")
def deliveries(path: Path | None, as_json: bool, limit: int | None, state: str | None, connector: str | None) -> None:
    """What is owed to the connectors, and what became of it."""
    from bridge.store import queries

    columns = ["id", "event_type", "connector", "state", "attempts", "next_attempt_at", "last_error"]
    with reading(path) as connection:
        rows = queries.deliveries(connection, state=state, connector=connector, limit=row_limit(limit, as_json))
        if not as_json:
            rows = iter(listed := list(rows))
            columns[3:3] = ["target"] if any(row["target"] for row in listed) else []
        show(rows, [*columns, "receipt"], as_json, "no deliveries")


@click.command()
@config_option
@json_option
@limit_option
@click.argument("delivery_id", required=False)
def attempts(path: Path | None, as_json: bool, limit: int | None, delivery_id: str | None) -> None:
    """Every try to deliver: when, how long it took, what came of it and what the other side answered."""
    from bridge.store import queries

    columns = ["started_at", "connector", "delivery_id", "number", "seconds", "outcome", "status", "error", "answer"]
    with reading(path) as connection:
        rows = queries.attempts(connection, delivery_id=delivery_id, limit=row_limit(limit, as_json))
        show(rows, columns, as_json, "no attempts")


@click.command()
@config_option
@json_option
@limit_option
def quarantine(path: Path | None, as_json: bool, limit: int | None) -> None:
    """Posts no event could be made of."""
    from bridge.store import queries

    with reading(path) as connection:
        rows = queries.quarantine(connection, limit=row_limit(limit, as_json))
        show(rows, ["received_at", "reason", "raw"], as_json, "the quarantine is empty")


@click.command()
@config_option
@click.argument("ids", nargs=-1)
@click.option("--dead", is_flag=True, help="Every dead delivery.")
@click.option("--connector", help="With --dead: only of this connector.")
def replay(path: Path | None, ids: tuple[str, ...], dead: bool, connector: str | None) -> None:
    """Deliver again: deliveries by their id (or all of an event, by its id), or every dead one."""
    from bridge.store import replay as replaying
    from bridge.store.dialects import dialect_of

    if bool(ids) == dead or (connector and not dead):
        raise click.UsageError("name ids, or say --dead (with --connector for one connector)")
    with writing(path) as connection:
        now = dialect_of(connection).now(connection)
        if ids:
            known = replaying.known_ids(connection, ids)
            unknown = [one for one in ids if one not in known]
            if unknown:
                raise BridgeError(f"there is no such delivery or event: {', '.join(unknown)}; nothing is replayed")
            replayed = replaying.replay_ids(connection, ids, now)
        else:
            replayed = replaying.replay_dead(connection, connector, now)
    click.echo(f"{len(replayed)} to be delivered again")


@click.command()
@config_option
@click.option("--older-than", type=Duration(), required=True, help="Such as 90d.")
def prune(path: Path | None, older_than: float) -> None:
    """Forget what is older: events, calls, finished deliveries, the quarantine. What still waits stays."""
    from bridge.store.pruning import prune_some

    before = time.time() - older_than
    totals: dict[str, int] = {}
    while True:
        with writing(path) as connection:  # a transaction a chunk, so that the running bridge hardly waits
            counts = prune_some(connection, before)
        totals = {table: totals.get(table, 0) + count for table, count in counts.items()}
        if not any(counts.values()):
            break
    click.echo(", ".join(f"{count} {table}" for table, count in totals.items()) + " forgotten")
