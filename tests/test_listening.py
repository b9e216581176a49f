"""Ending to listen: who is connected is heard, and nobody else is taken."""

from __future__ import annotations

import socket
import sys

import pytest

from bridge.listening import drop_newcomers


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters what comes to a socket")
def test_who_has_connected_and_says_something_is_heard_and_a_newcomer_is_not_even_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, 5) as early:
            drop_newcomers(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, 0.2)
            early.sendall(b"a post")
            taken, _ = listener.accept()
            with taken:
                assert taken.recv(10) == b"a post"
