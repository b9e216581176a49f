"""HTTP/1.1 messages with a Content-Length, cut out of what a socket has received."""

from __future__ import annotations


def cut_message(received: bytes) -> tuple[bytes, bytes, bytes] | None:
    """The head and the body of the first message and what follows it; None while it is not complete."""
    head, end, rest = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0)
    if not end or len(rest) < length:
        return None
    return head, rest[:length], rest[length:]
