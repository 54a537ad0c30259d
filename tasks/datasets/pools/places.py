"""Files on this machine or behind an address, all through fsspec, and one line where one cannot be read."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from tasks.errors import DataError, require

CHUNK = 1 << 22
REMOTE = "://"
"""Is in every address, and in no path."""
STATES = ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "created")
"""What file systems say of a file that changes with its content, the first of which counts."""
FOREIGN_FAULTS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "gcsfs.retry": ("HttpError",),
    "google.auth.exceptions": ("GoogleAuthError",),
}
"""What the packages behind fsspec raise that is no OSError."""


@dataclass(frozen=True)
class Place:
    """A file whose parts can be read.

    Args:
        system: the file system.
        path: in it.
        shown: what messages call the file.
        size: in bytes.
        version: changes with the content, as far as the file system says so.
    """

    system: Any = field(repr=False)
    path: str
    shown: str
    size: int
    version: str

    @property
    def state(self) -> str:
        """Changes with the place and, as far as it is known without reading it, with the content."""
        return f"{self.system.unstrip_protocol(self.path)}\0{self.size} {self.version}"

    def open(self) -> Any:
        """The file, from its start; its own errors are those of `reading`."""
        return self.system.open(self.path, "rb")

    def read(self, start: int, stop: int) -> bytes:
        """Some of its bytes.

        Raises:
            DataError: it cannot be read, or has fewer.
        """
        with reading(self.shown):
            content = self.system.cat_file(self.path, start=start, end=stop)
        if len(content) == self.size:  # a server that gives files as a whole
            content = content[start:stop] if stop - start < self.size else content
        require(len(content) == stop - start, f"{self.shown} has changed, or is cut off", "put the file there again")
        return content

    def digest(self) -> str:
        """SHA-256 of its content."""
        found = hashlib.sha256()
        with reading(self.shown), self.open() as file:
            while part := file.read(CHUNK):
                found.update(part)
        return found.hexdigest()


def is_address(source: str) -> bool:
    """Whether a text names files by an address that fsspec knows, and not by a path."""
    return REMOTE in source


def place_of(source: str, shown: str) -> Place:
    """One file.

    Raises:
        DataError: there is no such file, or nobody answers.
    """
    with reading(shown):
        system, path = url_to_fs(source)
        return _place(system, path, shown, system.info(path))


def files_in(source: str) -> dict[str, Place] | None:
    """All files in a folder and below it, by their paths from it, sorted, without those that start with a dot; None if it is no folder.

    Raises:
        DataError: nothing is there, or nobody answers.
    """
    with reading(source):
        system, root = url_to_fs(source)
        if not source.endswith("/") and system.isfile(root):  # of http a folder is a file, too
            return None
        found = system.find(root, detail=True)
        require(found or system.exists(root), f"there is nothing at {source}", "correct the address")
    base, shown = root.rstrip("/"), source.rstrip("/")
    names = {path[len(base) :].lstrip("/"): info for path, info in found.items()}
    seen = {name: info for name, info in names.items() if not any(part.startswith(".") for part in name.split("/"))}
    return {name: _place(system, f"{base}/{name}", f"{shown}/{name}", info) for name, info in sorted(seen.items())}


def _place(system: Any, path: str, shown: str, info: dict[str, Any]) -> Place:
    require(info.get("type") == "file", f"{shown} is no file", "give a folder, or shards")
    size = info["size"] if info.get("size") is not None else system.info(path)["size"]  # lists of http have no sizes
    require(size is not None, f"nobody says how large {shown} is", "copy it to this machine")
    version = next((str(info[name]) for name in STATES if info.get(name)), "")
    return Place(system, path, shown, int(size or 0), version)


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """What a file system raises in the block becomes a DataError that names this file."""
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        fault = f"{shown} needs a package that is not installed ({_first_line(error)})"
        raise DataError(fault, "`uv sync --extra remote` installs those for s3, gs and http") from None
    except FileNotFoundError:
        fault = f"there is nothing at {shown}"
        raise DataError(fault, "correct the path or address") from None
    except _faults() as error:
        fault = f"{shown} cannot be read ({_first_line(error)})"
        raise DataError(fault, "see that it is there and whole") from None


def _faults() -> tuple[type[BaseException], ...]:
    """Classes of the errors of all file systems that were loaded."""
    loaded = ((sys.modules.get(module), names) for module, names in FOREIGN_FAULTS.items())
    foreign = [getattr(module, name) for module, names in loaded if module for name in names]
    return (OSError, ValueError, EOFError, TimeoutError, *foreign)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def local(path: Path) -> str:
    """The address of a path, which fsspec would otherwise read for signs of its own."""
    return f"file://{path.absolute()}"
