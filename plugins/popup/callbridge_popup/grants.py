"""Who may see which extensions: grants, and the sign-ins (sessions) made of them, folded from the feed.

The feed holds hashes alone: of tokens and sessions SHA-256 (they are 256 random bits, which nobody guesses), of PINs
scrypt with a salt.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from werkzeug.security import check_password_hash, generate_password_hash

PIN_DIGITS = 8
PIN_METHOD = "scrypt:32768:8:1"
NOBODYS_PIN = f"{PIN_METHOD}${'0' * 16}${'0' * 128}"
"""A hash that no PIN has, and that takes as long to check as one that some PIN has."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one agent may see. `extensions` has at least one; with the first and the PIN one can sign in."""

    id: str
    extensions: tuple[str, ...]
    name: str
    made_at: float
    token_hash: str
    pin_hash: str


@dataclass(frozen=True, slots=True)
class Issued:
    """The secrets of a new grant: shown once, and kept by nobody."""

    token: str
    pin: str


def new_grant(extensions: Sequence[str], name: str, now: float) -> tuple[dict[str, Any], Issued]:
    """The item of the feed that makes a grant, and its secrets."""
    issued = Issued(secrets.token_urlsafe(32), f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}}")
    item = {
        "grant": secrets.token_hex(4),
        "extensions": list(extensions),
        "name": name,
        "made_at": now,
        "token": hashed(issued.token),
        "pin": generate_password_hash(issued.pin, PIN_METHOD),
    }
    return item, issued


def revocation(grants: Iterable[Grant]) -> dict[str, Any]:
    """The item of the feed that ends grants, and all that was signed in with them."""
    return {"revoke": [grant.id for grant in grants]}


def new_session(grant: Grant, until: float) -> tuple[dict[str, Any], str]:
    """The item of the feed that makes a sign-in which holds until then, and its secret."""
    secret = secrets.token_urlsafe(32)
    return {"session": hashed(secret), "of": grant.id, "until": until}, secret


def end_of_session(secret: str) -> dict[str, Any]:
    """The item of the feed that signs out."""
    return {"sign_out": hashed(secret)}


def has_pin(grant: Grant | None, pin: str) -> bool:
    """Whether it is the PIN of the grant, or (None) of nobody; both are as slow, on purpose."""
    return check_password_hash(grant.pin_hash if grant else NOBODYS_PIN, "".join(pin.split()))


def hashed(secret: str) -> str:
    """The hash of a token or a session."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class Grants:
    """What holds now. Not safe for several threads: its owner locks."""

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}
        self._of_token: dict[str, Grant] = {}
        self._sessions: dict[str, tuple[str, float]] = {}

    def take(self, item: Mapping[str, Any]) -> set[str]:
        """Go on with an item of the feed; returns what it ends: ids of grants, hashes of sessions."""
        if "grant" in item:
            grant = Grant(
                item["grant"], tuple(item["extensions"]), item["name"], item["made_at"], item["token"], item["pin"]
            )
            self._grants[grant.id] = self._of_token[grant.token_hash] = grant
        elif "session" in item:
            self._sessions[item["session"]] = (item["of"], item["until"])
        elif "sign_out" in item:
            self._sessions.pop(item["sign_out"], None)
            return {item["sign_out"]}
        elif "revoke" in item:
            ended = [self._grants.pop(id_) for id_ in item["revoke"] if id_ in self._grants]
            for grant in ended:
                self._of_token.pop(grant.token_hash, None)
            return {grant.id for grant in ended}
        return set()

    def all(self) -> list[Grant]:
        """Every grant, the oldest first."""
        return sorted(self._grants.values(), key=lambda grant: grant.made_at)

    def of_token(self, token: str) -> Grant | None:
        """The grant a token is of."""
        return self._of_token.get(hashed(token))

    def of_session(self, secret: str, now: float) -> Grant | None:
        """The grant a session was signed in with, while it holds."""
        grant_id, until = self._sessions.get(hashed(secret), ("", 0.0))
        return self._grants.get(grant_id) if now < until else None

    def sign_in_candidates(self, extension: str) -> list[Grant | None]:
        """The grants one signs in to with this extension and a PIN; and None, so often that each extension, whether it
        is granted or not, has as many candidates."""
        most = max(Counter(grant.extensions[0] for grant in self._grants.values()).values(), default=1)
        found = [grant for grant in self._grants.values() if grant.extensions[0] == extension]
        return [*found, *[None] * (most - len(found))]

    def forget_old(self, now: float) -> None:
        """Forget the sessions that are over."""
        self._sessions = {
            secret: (grant_id, until)
            for secret, (grant_id, until) in self._sessions.items()
            if until > now and grant_id in self._grants
        }
