"""What processes on one store tell each other."""

from __future__ import annotations

from collections.abc import Callable

ANYTHING = "anything"
"""News: whatever this process remembers of the store may have changed."""
DUE = "due"
"""News: something is due for a connector."""
PUBLISHED = "published"
"""News: something is new in a feed."""

Hear = Callable[[str, str], None]
"""Told what other processes have written: one of the kinds of news above, and the connector's name where it has one."""
