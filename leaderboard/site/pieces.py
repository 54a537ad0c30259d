"""Pieces of a site that are built again only if their records, or the code that builds them, have changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

MANIFEST = ".pieces.json"
"""A file of the site: the key and the files of every piece."""
PACKAGE = Path(__file__).parents[1]
CODE = {".py", ".html", ".js", ".css"}
File = tuple[str, bytes]
"""The path of a file within the site, and its content."""


class Piece(NamedTuple):
    """Files of the site that are built together."""

    name: str
    key: str
    """Changes with everything that the files depend on. A piece without a key is always built again."""
    files: Callable[[], Iterable[File]]


def key(*parts: object) -> str:
    """A key of things that determine a piece, beside the code of this package."""
    return hashlib.sha256("\0".join([code_digest(), *map(str, parts)]).encode()).hexdigest()


@cache
def code_digest() -> str:
    """The SHA-256 of the code and the templates that build the site."""
    total = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in CODE and "submissions" not in path.parts:
            total.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes())
    return total.hexdigest()


def write_pieces(pieces: Iterator[Piece], folder: Path, earlier: Path) -> None:
    """Write all pieces into a folder, and take those that have not changed from an earlier site.

    Args:
        pieces: the pieces.
        folder: the new site.
        earlier: the earlier site, which may be missing.
    """
    known = _manifest(earlier)
    manifest = {}
    for piece in pieces:
        before = known.get(piece.name, {})
        names = before.get("files", [])
        if piece.key and before.get("key") == piece.key and all((earlier / name).is_file() for name in names):
            for name in names:
                link(earlier / name, folder / name)
        else:
            names = [_write(folder / name, content, name) for name, content in piece.files()]
        manifest[piece.name] = {"key": piece.key, "files": names}
    text = json.dumps({name: each for name, each in manifest.items() if each["key"]}, indent=1, sort_keys=True)
    _write(folder / MANIFEST, text.encode(), MANIFEST)


def _manifest(site: Path) -> dict[str, dict[str, list[str]]]:
    try:
        return json.loads((site / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write(path: Path, content: bytes, name: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where that is not possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
