"""The settings of a popup connector."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from bridge import PositiveDuration
from callbridge_popup.links import LinkTemplate


def _check_origin(origin: str) -> str:
    """As browsers send it: lower case, without the default port."""
    try:
        url = urlsplit(origin.strip().lower())
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or url.scheme not in ("http", "https")
        or url.path.strip("/")
        or url.query
        or url.fragment
        or "@" in url.netloc
    ):
        raise PydanticCustomError("origin", "not an origin: write https://crm.example, without a path")
    shown = f"[{host}]" if ":" in host else host
    is_default = port in (None, {"http": 80, "https": 443}[url.scheme])
    return f"{url.scheme}://{shown}" if is_default else f"{url.scheme}://{shown}:{port}"


class PopupSettings(BaseModel):
    """The keys of `[connectors.NAME]` with `kind = "popup"`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    crm_url: LinkTemplate | None = None
    """Where "Open in CRM" leads, with places such as `{contact_id}`."""
    new_url: LinkTemplate | None = None
    """Where "New contact" leads for an unknown caller."""
    allowed_origins: tuple[Annotated[str, AfterValidator(_check_origin)], ...] = ()
    """The web CRMs whose pages may hold `embed.js`."""
    streams: Annotated[int, Field(ge=1, le=5000)] = 500
    """How many streams may be open at once in one bridge process."""
    ringing_for: PositiveDuration = 180.0
    """Seconds a card rings for where its end is never heard of."""
    talking_for: PositiveDuration = 4 * 3600.0
    """Seconds a card talks for where its end is never heard of."""
    ended_for: PositiveDuration = 20.0
    """Seconds the card of a call that has ended stays."""
