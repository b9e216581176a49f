"""The text of a file somebody exported, in whatever encoding that program writes."""

from __future__ import annotations

import codecs


def decoded(data: bytes) -> str:
    """UTF-8 with or without a byte order mark, UTF-16 with one (Excel's "Unicode text"), else Windows' Turkish.

    Line ends become newlines.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1254", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")
