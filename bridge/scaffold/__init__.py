"""Writing the distribution of a new connector, for `callbridge new-plugin`: it installs, passes its tests, delivers."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from bridge.errors import BridgeError

LONGEST_NAME = 40
FILES = {
    "pyproject.toml": "pyproject.toml.tmpl",
    "README.md": "README.md.tmpl",
    "PACKAGE/__init__.py": "package.py.tmpl",
    "PACKAGE/py.typed": None,
    "tests/test_KIND.py": "test.py.tmpl",
}
"""The files of a distribution, and the template of each (None: empty)."""


def write_plugin(kind: str, folder: Path | None, taken: frozenset[str]) -> Path:
    """Write the distribution of the connector kind into `folder` (`./callbridge-KIND` where it is None); returns it.

    `taken` are words that no kind may have. Raises BridgeError where the name cannot be one, and where the folder
    cannot be written: it must not be there yet, though one that was named may be empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", kind) or len(kind) > LONGEST_NAME:
        raise BridgeError(f'"{kind}" cannot be the name of a kind: write one such as telegram_notes')
    if kind in taken:
        raise BridgeError(f'"{kind}" is taken: choose another name')
    words = {"KIND": kind, "PACKAGE": f"callbridge_{kind}", "DISTRIBUTION": f"callbridge-{kind.replace('_', '-')}"}
    target = folder or Path(words["DISTRIBUTION"])
    try:
        if target.exists() and (folder is None or not target.is_dir() or any(target.iterdir())):
            raise BridgeError(f"{target} is there already: move it away, or name another folder by --into")
        for name, template in FILES.items():
            file = target / _filled(name, words)
            file.parent.mkdir(parents=True, exist_ok=True)
            text = resources.files("bridge.scaffold").joinpath(template).read_text("utf-8") if template else ""
            file.write_text(_filled(text, words), "utf-8")
    except OSError as error:
        raise BridgeError(f"{target} cannot be written: {error.strerror}") from error
    return target


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub("KIND|PACKAGE|DISTRIBUTION", lambda match: words[match[0]], text)
