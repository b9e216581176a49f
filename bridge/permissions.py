"""Which files with secrets the other users of the machine can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bridge.environment import secret_files
from bridge.settings import config_file


def exposed_files(path: Path | None, environ: Mapping[str, str], secrets: Iterable[str]) -> Iterator[str]:
    """A warning for each file that every user of this machine can read: a secret file, and the config (chosen as
    `load_settings` does) where one of the `secrets` stands in it."""
    files = [*secret_files(environ)]
    config = config_file(path, environ)
    if config is not None and _holds(config, secrets):
        files.insert(0, config)
    for file in files:
        if _is_open(file):
            yield f"{file} holds secrets, and every user of this machine can read it: chmod o-rwx {file}"


def _is_open(file: Path) -> bool:
    try:
        return os.name == "posix" and bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # gone meanwhile: nobody can read it
        return False


def _holds(file: Path, secrets: Iterable[str]) -> bool:
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return False
    return any(secret in text for secret in secrets)
