"""Image files in folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lossbench.words import plural
from tasks.images.decoding import is_image
from tasks.notices import notice

UNREAD = (".avif", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff")
"""Of files that hold images in other forms, in lower case."""


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and below it, sorted; what starts with a dot is left out, and so are links to folders."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return sorted(found)


def images_among(files: Iterable[Path], folder: Path) -> list[Path]:
    """Those of the files that are images, in their order; one line counts images in forms that are not read.

    Args:
        files: in the folder or below it.
        folder: as the line is to name it.
    """
    files = list(files)
    say_unread_images(folder, (file.name for file in files))
    return [file for file in files if is_image(file)]


def say_unread_images(folder: Path, names: Iterable[str]) -> None:
    """Say how many of the files of a folder are images in forms that are not read; hidden files are none."""
    suffixes = (Path(name).suffix.lower() for name in names if not name.startswith("."))
    forms = Counter(suffix for suffix in suffixes if suffix in UNREAD)
    if forms:
        count = plural(forms.total(), "image")
        notice(
            f"{folder}: {count} in forms that are not read ({', '.join(sorted(forms))}); convert them to JPEG or PNG"
        )
