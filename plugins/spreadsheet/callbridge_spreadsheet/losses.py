"""What openpyxl does not write back of a workbook is not taken from people: the workbook stays as it is."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

from bridge import Misconfigured

PARTS = {
    "pictures": r"xl/media/",
    "charts": r"xl/charts/chart\d+\.xml",
    "pivot tables": r"xl/pivotTables/pivotTable",
    "slicers": r"xl/(slicers|timelines)/",
    "controls": r"xl/(activeX|ctrlProps)/",
    "embedded objects": r"xl/embeddings/",
    "diagrams": r"xl/diagrams/data",
    "comment threads": r"xl/threadedComments/",
    "macros": r"xl/vbaProject",
}
"""What people make, and how the parts of a workbook are called that hold it."""
_DRAWING = re.compile(r"xl/drawings/drawing\d+\.xml")
_SHAPE = re.compile(rb"<(?:\w+:)?(?:sp|cxnSp|grpSp)[\s>]")


def refuse_losses(old: Path, new: Path) -> None:
    """Raise `Misconfigured` where something of the workbook `old` is not in `new`."""
    if not old.exists():
        return
    before, after = _contents(old), _contents(new)
    lost = [kind for kind in [*PARTS, "shapes"] if after[kind] < before[kind]]
    if lost:
        raise Misconfigured(
            f"{old} has {', '.join(lost)} that would be lost: move them into a workbook of their own that refers to it"
        )


def _contents(path: Path) -> Counter[str]:
    with ZipFile(path) as parts:
        names = parts.namelist()
        found = Counter(kind for name in names for kind, pattern in PARTS.items() if re.match(pattern, name))
        found["shapes"] = sum(len(_SHAPE.findall(parts.read(name))) for name in names if _DRAWING.fullmatch(name))
    return found
