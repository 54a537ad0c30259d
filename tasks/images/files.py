"""Where an image's encoded bytes are: in a file of its own, or somewhere else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import BytesIO
from pathlib import Path, PurePath, PurePosixPath

from tasks.errors import require_file


class EncodedImage(ABC):
    """An image that lies in no file of its own: a part of a shard, or a file behind an address.

    Two are equal if they are the same place; `str` gives what messages call it.
    """

    @abstractmethod
    def read(self) -> bytes:
        """The encoded bytes; raises a DataError that names the image."""

    @property
    @abstractmethod
    def state(self) -> str:
        """A text that changes with the place and the content, as far as it is known without reading the image."""


ImageFile = Path | EncodedImage


def readable(image: ImageFile, description: str) -> Path | BytesIO:
    """What Pillow opens.

    Raises:
        DataError: the image cannot be read, or is no regular file; names it by what it is.
    """
    return require_file(image, description) if isinstance(image, Path) else BytesIO(image.read())


def path_of(image: ImageFile) -> PurePath:
    """The path of an image, as fingerprints of data take their names from it."""
    return image if isinstance(image, Path) else PurePosixPath(str(image))


def encoded(image: ImageFile) -> bytes:
    """The bytes of an image, as they are stored."""
    return image.read_bytes() if isinstance(image, Path) else image.read()


def state_of(image: ImageFile) -> str:
    """A text that changes with the place of an image and, as far as that is known without reading it, with its content."""
    if not isinstance(image, Path):
        return image.state
    return f"{image.absolute()}\0{_size_and_time(image)}"


def _size_and_time(path: Path) -> tuple[int, int] | None:
    """Size and time of modification; None where there is no such file, which decoding will say."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
