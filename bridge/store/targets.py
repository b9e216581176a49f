"""What is owed to the targets of a connector when its config has changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, select, update

from bridge.ids import new_id
from bridge.store import schema
from bridge.store.bulk import insert_rows
from bridge.store.deliveries import announce_due

_deliveries = schema.deliveries
_c = _deliveries.c


def settle_targets(connection: Connection, configured: Sequence[tuple[str, Sequence[str]]]) -> list[None]:
    """Owe what waits to the targets there are now: (connector, targets).

    What was owed while the targets were not known is owed to each. Where one is gone and another is new, its address
    has been mended, and the new one gets what the other waited for. What else is gone waits as long as it may.
    """
    for connector, targets in configured:
        if tuple(targets) != ("",):
            _split(connection, connector, targets)
            _hand_over(connection, connector, targets)
    return [None] * len(configured)


def _split(connection: Connection, connector: str, targets: Sequence[str]) -> None:
    whole = and_(_c.connector == connector, _c.target == "", _c.state == "pending")
    rows = connection.execute(select(_deliveries).where(whole).order_by(_c.id).with_for_update()).mappings().all()
    copies = [
        {**row, "id": new_id("dlv", row["fresh_from"]), "target": target, "lease": None}
        for row in rows
        for target in targets
    ]
    if copies:
        insert_rows(connection, _deliveries, copies)
        connection.execute(delete(_deliveries).where(_c.id.in_([row["id"] for row in rows])))
        announce_due(connection, [connector])


def _hand_over(connection: Connection, connector: str, targets: Sequence[str]) -> None:
    states = select(_c.target, _c.state).where(_c.connector == connector).distinct()
    known = connection.execute(states).all()
    gone = {target for target, state in known if state == "pending" and target not in targets}
    new = set(targets) - {target for target, _ in known}
    if len(gone) == len(new) == 1:
        waiting = and_(_c.connector == connector, _c.target == gone.pop(), _c.state == "pending")
        connection.execute(update(_deliveries).where(waiting).values(target=new.pop(), lease=None))
        announce_due(connection, [connector])
