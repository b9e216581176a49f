"""A notebook: one line of a text file for every event."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from bridge import ConnectorContext, ConnectorKind, Delivery, Misconfigured, Receipt, TemporaryFailure, hookimpl


class NotebookSettings(BaseModel):
    """The keys of `[connectors.NAME]` with `kind = "notebook"`."""

    path: Path


class Notebook:
    """Appends to one file, which no event is written to twice."""

    def __init__(self, settings: NotebookSettings, _context: ConnectorContext) -> None:
        self._path = settings.path

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Receipt:
        """Write the line, unless an earlier try has written it before it could say so."""
        event = delivery.event
        who = event.call.caller.display if event.call else "callbridge"
        line = f"{event.timestamp:%Y-%m-%d %H:%M:%S} {event.type} {who!r} {event.id}\n"
        try:
            with self._path.open("a+", encoding="utf-8") as file:
                file.seek(0)
                if line not in file:
                    file.write(line)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
            raise Misconfigured(f"cannot write {self._path}: mend `path`") from error
        except OSError as error:
            raise TemporaryFailure(f"cannot write {self._path}: {error.strerror}") from error
        return Receipt(text=str(self._path))


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    """The kind `notebook`."""
    return [
        ConnectorKind(name="notebook", create=Notebook, settings=NotebookSettings, threadsafe=False, idempotent=True)
    ]
