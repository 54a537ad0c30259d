"""What commands print. Rich takes a quarter of a second to import, so it is imported where something is printed."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lossbench.processes import command_words, said_first
from lossbench.words import spelled_out

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 1000
"""Columns of a table that goes to a file or another program: no cell is wrapped."""
LONGEST_LINE = 900
"""Characters of a line about a fault; names in it may be of any length."""


def console() -> Console:
    """Standard output."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES)


def say(*lines: object) -> None:
    """Print lines as they are, without wrapping, markup and colors."""
    for line in lines:
        text = str(line).encode(errors="backslashreplace").decode()  # names of files need not be UTF-8
        print(text, flush=True)  # noqa: T201 - this is the command line


@contextmanager
def status(text: str) -> Iterator[Callable[[str], None]]:
    """Show what the command does: live on a terminal, elsewhere a line where there would be none for long.

    Yields what is called with each new text.
    """
    from lossbench.running.progress import SILENT_SECONDS

    screen, said = console(), time.monotonic()

    def say_seldom(new: str) -> None:
        nonlocal said
        if time.monotonic() - said >= SILENT_SECONDS:
            say(new)
            said = time.monotonic()

    if screen.is_terminal:
        with screen.status(text) as live:
            yield live.update
    else:
        yield say_seldom


def same_command() -> str:
    """The command that this process runs, to be copied into a shell."""
    return shlex.join([*command_words(), *sys.argv[1:]])


def complain(line: str) -> None:
    """Print one line about a fault on standard error; of several processes that make a run together the first one says it.

    Control characters, which a file's name may hold, are spelled out. Of a very long line the middle is left out.
    """
    safe = spelled_out(line)
    if len(safe) > LONGEST_LINE:
        safe = f"{safe[: LONGEST_LINE // 2]} ... {safe[-LONGEST_LINE // 2 :]}"
    if said_first():
        print(f"lossbench: {safe}", file=sys.stderr)  # noqa: T201 - this is the command line
