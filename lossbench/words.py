"""Wording of messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def plural(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    Args:
        number: how many.
        one: the noun in the singular.
        many: its plural, where that is not the singular with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def first_few(names: Sequence[str], most: int) -> list[str]:
    """The first of many names, and how many more there are."""
    return [*names[:most], *([f"and {len(names) - most:,} more"] if len(names) > most else [])]


def spelled_out(text: str) -> str:
    """A text of strangers for a terminal: control characters, which could paint over what stands there, are spelled out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Up to three names like one that is not known; all of them where none is like it."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 3)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"
