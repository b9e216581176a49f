"""The path of a file of a month."""

from __future__ import annotations

import string
from datetime import datetime
from pathlib import Path

from bridge import Misconfigured

FIELDS = frozenset({"year", "month"})


def faults_of(template: str) -> str | None:
    """What is wrong with a path template; None where it is one."""
    try:
        fields = {
            (name, spec, conversion)
            for _, name, spec, conversion in string.Formatter().parse(template)
            if name is not None
        }
    except ValueError as error:
        return f"is no path: {error}"
    if fields - {(name, "", None) for name in FIELDS}:
        return "knows {year} and {month} alone"
    return None


def path_of(template: str, at: datetime) -> Path:
    """The file of a call that began then, links followed, so that the file itself is replaced and not the link.

    Folders whose names have a part of the date are made; the folder above them must be there.
    Raises `Misconfigured` where it is not.
    """
    year, month = f"{at.year:04}", f"{at.month:02}"
    path = Path(template.format(year=year, month=month)).absolute()
    dated = [part for part in Path(template).parent.parts if "{" in part]
    if dated:
        fixed = Path(*Path(template).parts[: Path(template).parts.index(dated[0])])
        if not fixed.is_dir():
            raise Misconfigured(f"there is no folder {fixed.absolute()}: make it, or mend `path`")
        path.parent.mkdir(parents=True, exist_ok=True)
    return path.resolve()
