"""Signing by Standard Webhooks 1.0 (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

PREFIX = "whsec_"
KEY_BYTES = range(24, 65)
"""How many bytes a secret's key may have."""


def read_secret(secret: str) -> bytes:
    """The key of a `whsec_<base64>` secret; the prefix and the padding may be missing.

    Raises ValueError, without the secret in it, where it is not base64 of 24 to 64 bytes.
    """
    text = secret.strip().removeprefix(PREFIX).rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9+/]+", text) or len(text) % 4 == 1:
        raise ValueError(f"a secret is {PREFIX} and then base64: this one is not base64")
    key = base64.b64decode(text + "=" * (-len(text) % 4))
    if len(key) not in KEY_BYTES:
        raise ValueError(f"a secret holds {KEY_BYTES[0]} to {KEY_BYTES[-1]} bytes in base64: this one holds {len(key)}")
    return key


def signed_headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The `webhook-*` headers of one try. `timestamp` is unix seconds; one signature a key, none without keys."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    if signatures:
        headers["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
    return headers
