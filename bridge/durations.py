"""Durations ("90s", "24h") and rates ("1/s") as people write them in the configuration and on the command line."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = r"\d+(?:\.\d+)?"
_PART = re.compile(rf"({_NUMBER})([smhd])")
_WHOLE = re.compile(rf"({_PART.pattern})+")
_RATE = re.compile(rf"(\d+)\s*(?:/|per)\s*({_NUMBER})?\s*(s|sec|second|m|min|minute|h|hour)")
_HOW = 'is no duration: write "0.5s", "90s", "10m", "24h", "90d" or a number of seconds'


def parse_duration(value: object) -> float:
    """Seconds of a duration such as "0.5s", "10m", "1h30m", "90d", or of a plain number of seconds.

    Raises ValueError, with a message that shows how to write one, for anything else, a negative one too.
    """
    if isinstance(value, str):
        text = value.strip()
        if _WHOLE.fullmatch(text):
            return math.fsum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
        if re.fullmatch(_NUMBER, text):
            return float(text)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise ValueError(f'"{value}" {_HOW}')


def parse_rate(text: str) -> tuple[int, float]:
    """(count, period in seconds) of a rate such as "1/s", "30/m", "1/30s", "100/hour" or "2 per second".

    Raises ValueError, with a message that shows how to write one, for anything else.
    """
    match = _RATE.fullmatch(text.strip().lower())
    period = float(match[2] or 1) * _SECONDS[match[3][0]] if match else 0.0
    if match is None or int(match[1]) == 0 or period == 0:
        raise ValueError(f'"{text}" is no rate: write "1/s", "30/m", "1/30s" or "100/h"')
    return int(match[1]), period


def _rate(text: str) -> str:
    parse_rate(text)
    return text


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""A field in seconds that reads as `parse_duration` does."""

PositiveDuration = Annotated[Duration, Field(gt=0)]
"""A `Duration` of more than nothing."""

Rate = Annotated[str, AfterValidator(_rate)]
"""A field that holds a text `parse_rate` can read."""
