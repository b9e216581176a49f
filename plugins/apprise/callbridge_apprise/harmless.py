"""Making text harmless in every chat: what a caller controls must ping nobody, format nothing and be no link.

The services read different languages (HTML, several sorts of Markdown, their own), and what is escaped for one is
broken for another. So the characters that mean something anywhere give way to others that look like them.
"""

from __future__ import annotations

import re

FULLWIDTH = {ord(letter): ord(letter) + 0xFEE0 for letter in "#*<>@[\\]_`|~"}
_LINK = re.compile(r":(?=//)")
_EMOJI = re.compile(r":(?=[A-Za-z+-][\w+-]*:)")
_DOMAIN = re.compile(r"(?<=\w)\.(?=[^\W\d_])")


def harmless(text: str) -> str:
    """`text` as one line of printable characters that mean nothing to any service."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    line = _EMOJI.sub("：", _LINK.sub("：", line.translate(FULLWIDTH)))
    return _DOMAIN.sub(".\N{ZERO WIDTH SPACE}", line)
