"""The target of atheris: the first byte says the content type, the rest is the body.

python -m tests.faults.fuzzing FOLDER CORPUS -max_total_time=SECONDS
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bridge", "callbridge_bulutsantralim"]):
    from tests.conftest import Desk
    from tests.faults.inputs import CONTENT_TYPES, check_post


def main() -> None:
    """Post whatever atheris makes up, until its time is over or a promise is broken."""
    desk = Desk(Path(sys.argv.pop(1)), "")
    desk.bridge.start()

    def post(data: bytes) -> None:
        desk.now += 1  # what is posted twice within the window is one post
        check_post(desk, data[1:], CONTENT_TYPES[data[0] % len(CONTENT_TYPES)] if data else "")

    atheris.Setup(sys.argv, post)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
