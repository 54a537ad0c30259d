"""Folders of image files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lossbench.words import plural
from tasks.images.decoding import SUFFIXES
from tasks.images.folders import UNREAD, say_unread_images
from tasks.notices import notice


def image_files(folder: Path, shards: tuple[str, ...] = ()) -> dict[str, Path]:
    """The images in a folder and below it by their paths from it, sorted.

    What starts with a dot is left out, and so are links to folders. One line counts images in forms that are not read, and
    one the shards beside images.

    Args:
        folder: the folder.
        shards: endings of files that are shards, in lower case.
    """
    found: dict[str, Path] = {}
    beside: list[str] = []
    unread: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(folder)
        for name in files:
            if name.startswith("."):
                continue
            if name.lower().endswith(SUFFIXES):
                found[(inside / name).as_posix()] = Path(place, name)
            elif name.lower().endswith(UNREAD):
                unread.append(name)
            elif name.lower().endswith(shards):
                beside.append(name)
    say_unread_images(folder, unread)
    if found:
        say_unread_shards(beside)
    return dict(sorted(found.items()))


def say_unread_shards(names: Iterable[str]) -> None:
    """Say how many shards lie beside images, which are read instead."""
    if shards := sorted(names):
        count = plural(len(shards), "shard")
        notice(f"{count} beside images: not read; give shards in a folder of their own ({shards[0]})")
