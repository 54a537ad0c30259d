"""What a worker process does in tests: it returns its item, or dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def echo_or_die(number: int, item: tuple[str, str]) -> str:
    """Return the item's word, unless it is a way to die: then die, and every time or only the first time.

    Args:
        number: of the item.
        item: a word, and the path of a file that says that this process has died before; an empty path for every time.
    """
    word, mark = item
    if mark and Path(mark).exists():
        return f"{word} {number} again"
    if mark:
        Path(mark).touch()
    if word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "leaves":
        os._exit(0)
    return f"{word} {number}"
