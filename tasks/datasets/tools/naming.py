"""Which image of a folder a label means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from tasks.images.decoding import is_image
from tasks.images.folders import files_below

UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
"""The name of a file that was uploaded to Label Studio, which puts eight hexadecimal digits and a dash before it."""


class ImageNames:
    """The images of a folder by the ends of their paths. Indices are made when they are first needed."""

    def __init__(self, bare: Mapping[str, str]) -> None:
        """Take the images.

        Args:
            bare: by the path of each from the folder, with slashes, the last part of it without its ending.
        """
        self._bare = bare
        self._by_end: dict[int, dict[str, list[str]]] = {}

    @classmethod
    def below(cls, folder: Path) -> ImageNames:
        """The image files in a folder and below it."""
        names = (file.relative_to(folder).as_posix() for file in files_below(folder) if is_image(file))
        return cls({name: PurePosixPath(name).stem for name in names})

    def meant(self, file: str) -> list[str]:
        """The images that a label may be of: that of its path, or those whose paths end most like it; none if no name fits.

        The ending of the name may be missing, and accents may be characters of their own. A name that fits no image is also tried
        without what Label Studio puts before uploaded files, whose folders it does not keep.
        """
        if file in self._bare:
            return [file]
        name = composed(file)
        if same := self._composed.get(name):
            return same
        parts = name.replace("\\", "/").split("/")
        found = self._ending_like(parts)
        uploaded = UPLOADED.fullmatch(parts[-1])
        return self._ending_like([uploaded[1]]) if uploaded and not found else found

    def at(self, path: str) -> list[str]:
        """The images of just this path from the folder, with or without the ending of the name."""
        path = composed(path)
        found = self._composed.get(path) or [name for name in (path,) if name in self._bare]
        if path.rpartition("/")[2] in self._endless:
            found = list(dict.fromkeys([*found, *self._without_ending.get(path, [])]))
        return found

    def _ending_like(self, parts: list[str]) -> list[str]:
        """Those whose paths end in this one; if there are none, those with the longest path in which this one ends."""
        if longer := self._ends(len(parts)).get("/".join(parts)):
            return longer
        shorter = (self.at("/".join(parts[start:])) for start in range(1, len(parts)))
        return next((names for names in shorter if names), [])

    def _ends(self, count: int) -> Mapping[str, list[str]]:
        """The images by the last parts of their paths; those with fewer parts are left out."""
        if count > self._deepest:
            return {}
        if count not in self._by_end:
            self._by_end[count] = _indexed(self._cut(count))
        return self._by_end[count]

    @cached_property
    def _endless(self) -> set[str]:
        """All names without their endings."""
        return {composed(bare) for bare in self._bare.values()}

    @cached_property
    def _without_ending(self) -> Mapping[str, list[str]]:
        """The images by their paths without the ending; most labels have it, and then this is not needed."""
        parts = ((name, *name.rpartition("/")[:2], bare) for name, bare in self._bare.items())
        return _indexed((name, composed(folder + slash + bare)) for name, folder, slash, bare in parts)

    @cached_property
    def _composed(self) -> Mapping[str, list[str]]:
        """The images by their composed paths, where composing or not makes a difference."""
        found: dict[str, list[str]] = {}
        for name in self._bare:
            if not name.isascii():
                found.setdefault(composed(name), []).append(name)
        return found

    @cached_property
    def _deepest(self) -> int:
        return max((name.count("/") for name in self._bare), default=0) + 1

    def _cut(self, count: int) -> Iterator[tuple[str, str]]:
        """Each image of so many parts or more, by the last of them, with and without its ending."""
        for name, bare in self._bare.items():
            *folders, last = composed(name).split("/")
            if len(folders) + 1 >= count:
                end = folders[len(folders) + 1 - count :]
                for key in {last, composed(bare)}:
                    yield name, "/".join([*end, key])


def composed(name: str) -> str:
    """A name with each accent in the character that carries it; macOS takes the two apart in the names of files."""
    return unicodedata.normalize("NFC", name)


def _indexed(entries: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for name, key in entries:
        index.setdefault(key, []).append(name)
    return index
