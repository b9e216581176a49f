"""Asking every directory who has a number, for the operator: what each says, how fast, and where it has that from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.contacts import Answer, Directories
from bridge.errors import BridgeError
from bridge.phone import read_number
from bridge.plugins import LoadedDirectory, examine_plugins
from bridge.redaction import Redactor
from bridge.settings import Settings

NOBODY = {"name": None, "company": None, "id": None, "note": None}


def ask_directories(settings: Settings, text: str) -> Iterator[dict[str, Any]]:
    """A row for each contact, and one for each directory that has none, in the order of preference.

    `state` is `found`, `unknown` or `failed` (then `error` says why), `milliseconds` how long the lookup took (None
    where it failed), `where` what the directory says of its contacts. Raises BridgeError where `text` is no outside
    number.
    """
    region = next(iter(settings.sources.values())).region
    number = read_number(text, region=region, locale=settings.locale)
    if number.e164 is None:
        raise BridgeError(f"{text} is no outside number: write one such as +902123205062")
    plugins = examine_plugins(settings)
    clean = Redactor(plugins.secrets).clean
    # A check comes first: it loads what the running bridge has in memory.
    checks = {name: plugins.check("directories", name) for name in plugins.directories}
    answers = {answer.directory: answer for answer in Directories.of(plugins).ask_all(number)}
    for name, directory in plugins.directories.items():
        where, fault = checks[name]
        answer = answers.get(name)
        said = _said(directory, answer, fault)
        said |= {"where": where and clean(where), "error": said["error"] and clean(said["error"])}
        contacts = [contact.model_dump(exclude={"directory"}) for contact in (answer.contacts if answer else ())]
        yield from (said | contact for contact in contacts or [NOBODY])


def _said(directory: LoadedDirectory, answer: Answer | None, fault: str | None) -> dict[str, Any]:
    """What a directory is and what came of asking it; `fault` is what its own check complained of."""
    error = directory.error or (answer.error if answer else None) or fault
    found = answer is not None and bool(answer.contacts)
    return {
        "directory": directory.name,
        "kind": directory.settings.kind,
        "state": "found" if found else "failed" if error else "unknown",
        "milliseconds": round(answer.seconds * 1000, 3) if answer and not answer.error else None,
        "error": error,
    }
