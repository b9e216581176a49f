"""The settings of a spreadsheet connector."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from bridge import Duration, SecretUrl
from callbridge_spreadsheet.columns import CATALOGUE, DEFAULT
from callbridge_spreadsheet.paths import faults_of

Target = Literal["csv", "xlsx", "google"]

EVERY: dict[Target, float] = {"csv": 0, "xlsx": 30, "google": 5}
"""A target is written at most once in so many seconds where the config says nothing: a workbook is rewritten whole, and
Google answers 60 requests a minute."""


SHEET_NAME = re.compile(r"(?!')[^][:*?/\\\x00-\x1f]{1,31}(?<!')")
"""What Excel takes as the name of a sheet."""


def _check_column(name: str) -> str:
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
        hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(CATALOGUE)}"
        raise PydanticCustomError("column", '"{name}" is no column; {hint}', {"name": name, "hint": hint})
    return name


def _check_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise PydanticCustomError("columns", 'the column "{name}" is named twice', {"name": name})
    return names


def _check_path(path: str) -> str:
    if fault := faults_of(path):
        raise PydanticCustomError("path", "{fault}", {"fault": f'"{path}" {fault}'})
    return path


def _check_credentials(path: Path) -> Path:
    """The file is read to see whether it is a key; nothing of it is ever shown."""
    try:
        key = json.loads(path.read_text("utf-8"))
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
    except ValueError:
        reason = f"{path} is no JSON: it must be the key file of a service account"
    else:
        needed = {"client_email", "private_key", "token_uri"}
        if isinstance(key, dict) and key.get("type") == "service_account" and needed <= key.keys():
            return path
        reason = f"{path} is no key of a service account: make one in the Google Cloud console (Keys, Add key, JSON)"
    raise PydanticCustomError("credentials", "{reason}", {"reason": reason})


class SpreadsheetSettings(BaseModel):
    """The keys of `[connectors.NAME]` with `kind = "spreadsheet"`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    target: Target = "csv"
    path: Annotated[str, Field(min_length=1), AfterValidator(_check_path)] | None = None
    """The file, with `{year}` and `{month}` of the call; relative to where the bridge is started."""
    columns: Annotated[
        tuple[Annotated[str, AfterValidator(_check_column)], ...],
        Field(min_length=1),
        AfterValidator(_check_once),
    ] = DEFAULT
    """Names of the catalogue, in the order a new file gets them."""
    every: Duration | None = None
    """Written at most once in so many seconds, with all that waits by then; 0: at once."""
    worksheet: Annotated[str, Field(min_length=1)] | None = None
    """The sheet of a workbook or a Google spreadsheet; else the first one."""
    spreadsheet: Annotated[str, Field(min_length=1)] | None = None
    """The id or the URL of a Google spreadsheet."""
    credentials: Annotated[Path, AfterValidator(_check_credentials)] | None = None
    """The key file (JSON) of a Google service account."""
    api_url: SecretUrl = SecretStr("https://sheets.googleapis.com")
    """Where Google's API is: another one is for stand-ins."""

    @property
    def rate(self) -> str | None:
        """How often the target may be written: `1/30s`; None for at once."""
        every = EVERY[self.target] if self.every is None else self.every
        return f"1/{every:.15g}s" if every else None

    @property
    def file(self) -> str:
        """The path of a file, with its default."""
        return self.path or f"calls-{{year}}-{{month}}.{self.target}"

    @model_validator(mode="after")
    def _keys_of_the_target(self) -> Self:
        given = self.model_fields_set
        foreign = {"csv": {"worksheet"}, "xlsx": set(), "google": {"path"}}[self.target]
        if self.target != "google":
            foreign |= {"spreadsheet", "credentials", "api_url"}
        for key in sorted(foreign & given):
            raise _fault(key, f'means nothing for target = "{self.target}": leave it out')
        for key in ("spreadsheet", "credentials"):
            if self.target == "google" and getattr(self, key) is None:
                raise _fault(key, 'target = "google" needs `spreadsheet` and `credentials`')
        if self.target == "xlsx" and not self.file.casefold().endswith(".xlsx"):
            raise _fault("path", 'a workbook\'s name ends with ".xlsx"')
        if self.target == "xlsx" and self.worksheet is not None and not SHEET_NAME.fullmatch(self.worksheet):
            raise _fault("worksheet", "a sheet's name has up to 31 characters, none of []:*?/\\, and no ' at an end")
        return self


def _fault(key: str, reason: str) -> ValidationError:
    """An error of one key, so that its path in the config is shown."""
    details = InitErrorDetails(
        type=PydanticCustomError("spreadsheet", "{reason}", {"reason": reason}),
        loc=(key,),
        input=None,
    )
    return ValidationError.from_exception_data("SpreadsheetSettings", [details])
