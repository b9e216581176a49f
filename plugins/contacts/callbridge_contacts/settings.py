"""The settings of a contacts directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from bridge import PositiveDuration, SecretUrl


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Headings = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Headings of columns: one as text, or a list."""


class Columns(BaseModel):
    """Which columns of a CSV file are meant, by their headings; what is left out is guessed.

    Several columns of `name` are joined by a blank, all columns of `phone` are looked at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Headings = ()
    company: str | None = None
    phone: Headings = ()
    id: str | None = None
    note: str | None = None


class ContactsSettings(BaseModel):
    """The keys of `[directories.NAME]` with `kind = "contacts"`: a file (`path`) or a server (`carddav`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Path | None = None
    """A CSV or a vCard file."""
    columns: Columns = Columns()
    carddav: SecretUrl | None = None
    """A CardDAV server, or one address book of it."""
    username: str | None = None
    password: SecretStr | None = None
    refresh: PositiveDuration = 300.0
    """Seconds between two looks at the CardDAV server."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.carddav is None):
            raise PydanticCustomError("place", "needs either `path` (a file) or `carddav` (a server)")
        if self.carddav is None and (self.username is not None or self.password is not None):
            raise PydanticCustomError("place", "`username` and `password` are for `carddav`")
        if (self.username is None) != (self.password is None):
            raise PydanticCustomError("place", "`username` and `password` go together")
        if self.path is None and self.columns != Columns():
            raise PydanticCustomError("place", "`columns` are those of a CSV file (`path`)")
        return self
