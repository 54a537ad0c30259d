"""Reading of files that may hold anything, and the place where a file is written. Every package may import this module."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

MEBIBYTE = 1 << 20
LARGEST_TOML = 1 * MEBIBYTE
MOST_DOTS = 1000
"""In one line of TOML: the time that a dotted key takes grows with the square of its parts."""


class UnfitFileError(ValueError):
    """A file that is not regular, or too large."""


def part_of(path: Path) -> Path:
    """Where a file is written before it takes its place; always the same, so that what a killed process left is overwritten."""
    return path.with_name(f".{path.name}.part")


def read_regular(path: Path, most: int, *, links: bool = True) -> bytes:
    """The content of a regular file.

    Args:
        path: of the file.
        most: size of the largest file that is read, in bytes.
        links: follow a symbolic link.

    Raises:
        OSError: the file is missing, is a folder, or may not be read.
        UnfitFileError: the path names a pipe or a device, or the file is larger.
        ValueError: the path holds a NUL byte.
    """
    unfit = f"not a regular file of at most {most // MEBIBYTE} MiB"
    if not links and path.is_symlink():
        raise UnfitFileError(unfit)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)  # a pipe is not waited for
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise (
            IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            if stat.S_ISDIR(mode)
            else UnfitFileError(unfit)
        )
    with open(descriptor, "rb") as file:  # noqa: PTH123 - pathlib takes no descriptors
        content = file.read(most + 1)
    if len(content) > most:
        raise UnfitFileError(unfit)
    return content


def parsed_toml(content: bytes) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ValueError: the content is not TOML, not UTF-8, nested too deeply, or holds a number of thousands of digits.
    """
    if re.search(rb"0[xob][0-9a-fA-F_]{1000}", content):  # Python limits decimal digits only
        msg = "a number in it has more than 1,000 digits"
        raise ValueError(msg)
    text = content.decode("utf-8")
    if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
        msg = f"a line has more than {MOST_DOTS:,} dots"
        raise ValueError(msg)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The base with the changes; tables inside both are merged in the same way, unless the change names another kind."""
    tables = [name for name in base.keys() & changes.keys() if _mergeable(base[name], changes[name])]
    return base | changes | {name: merged(base[name], changes[name]) for name in tables}


def _mergeable(base: object, change: object) -> bool:
    """Whether both are tables, and of one kind: the fields of another kind would not fit."""
    return (
        isinstance(base, dict) and isinstance(change, dict) and change.get("kind", base.get("kind")) == base.get("kind")
    )


def parsed_json(content: bytes) -> Any:
    """The value of a JSON file.

    Raises:
        ValueError: the content is not JSON, nested too deeply, gives a key twice, or holds a number of thousands of digits.
    """
    try:
        return json.loads(content, object_pairs_hook=_table)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):  # parsers take the first or the last
        keys = [key for key, _ in pairs]
        msg = f"the key {shown(max(keys, key=keys.count))} is given twice"
        raise ValueError(msg)
    return table


def decoded_text(content: bytes) -> str:
    """The text of a file.

    Raises:
        ValueError: the content is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"not text in UTF-8 (byte {error.start} is 0x{content[error.start]:02x}); save it as UTF-8"
        raise ValueError(msg) from None


def first_fault(error: ValidationError, names: Mapping[str, str] | None = None, fields: Iterable[str] = ()) -> str:
    """The first field that does not fit, why, and its value.

    Args:
        error: of the model.
        names: what to call fields, where they come from elsewhere than a file: from options or arguments.
        fields: names that an unknown field may have been meant to have.
    """
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    place = (names or {}).get(path[0]) if path else "the file"
    place = place or ".".join(path)
    fault = first["msg"]
    if first["type"] == "extra_forbidden":
        close = get_close_matches(path[-1], set(fields) - {path[-1]}, 3)
        fault = f"no such setting{'; did you mean ' + ' or '.join(close) + '?' if close else ''}"
    if first["type"] == "union_tag_invalid":
        tags = first.get("ctx", {})
        known = ", ".join(sorted(tags["expected_tags"].replace("'", "").split(", ")))
        return f"{place}: the kind {tags['tag']!r} cannot be used here; there are {known}"
    return f"{place}: {fault} (given: {shown(first['input'])})"


def shown(value: object) -> str:
    """The start of a value, in one line."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # Python writes no integer of more than 4,300 digits
        return f"{type(value).__name__} that is too large to show"


_TOO_DEEP = "lists or tables in it are nested too deeply"
