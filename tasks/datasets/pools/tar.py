"""Tar shards of images, such as WebDataset's: the members of one key are one sample, and one of them is its image."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import Any

from tasks.datasets.pools.places import Place, reading
from tasks.errors import DataError, require
from tasks.images.decoding import SUFFIXES
from tasks.images.files import EncodedImage


@dataclass(frozen=True, slots=True)
class Part(EncodedImage):
    """An image that is a part of a file, or all of it.

    Args:
        place: of the file.
        name: in it; empty if the image is all of it.
        start: of its bytes.
        stop: the place after the last one.
    """

    place: Place
    name: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.place.shown}/{self.name}" if self.name else self.place.shown

    @property
    def state(self) -> str:
        """The file's, and which part of it."""
        return f"{self.place.state}\0{self.start} {self.stop}"

    def read(self) -> bytes:
        """The encoded bytes."""
        return self.place.read(self.start, self.stop)


def tar_images(place: Place) -> dict[str, EncodedImage]:
    """The images of a shard by the names of their members, in its order.

    A key is a member's path up to the first dot of its last part; what stands behind is an extension. The image of a key is the
    member whose extension is one of `SUFFIXES`, or else the only one whose extension ends like that: `mask.png` beside `jpg` is none.

    Raises:
        DataError: the shard cannot be read, is compressed or cut off, or has a key twice.
    """
    by_key: dict[str, list[tarfile.TarInfo]] = {}
    with reading(place.shown), place.open() as file:
        try:
            end = _sort(file, by_key)
        except tarfile.TarError as error:
            fault = f"{place.shown} cannot be read as tar ({error})"
            raise DataError(fault, "unpack what is compressed, or write the shard again") from None
        file.seek(end)
        whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    require(whole, f"{place.shown} is cut off, or damaged after {end:,} bytes", "write the shard again")
    images = (_image(place, key, members) for key, members in by_key.items())
    return {
        _name(member): Part(place, _name(member), start, start + member.size)
        for member in images
        for start in [member.offset_data]
    }


def _sort(file: Any, by_key: dict[str, list[tarfile.TarInfo]]) -> int:
    """Put the members that may be images under their keys; the place in the file behind the last member."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            plain = member.isreg() and not member.issparse() and not _hidden(member.name)
            if plain and member.name.lower().endswith(SUFFIXES):
                by_key.setdefault(_key(_name(member)), []).append(member)
            vars(archive)["members"] = []  # else the headers of all members are kept
        return archive.offset


def _image(place: Place, key: str, members: list[tarfile.TarInfo]) -> tarfile.TarInfo:
    """The image of a key."""
    plain = [member for member in members if _extension(member.name) in SUFFIXES] or members
    fault = f"{place.shown} holds the key {key} twice: {plain[0].name} and {plain[-1].name}"
    require(len(plain) == 1, fault, "give each image a key of its own")
    return plain[0]


def _name(member: tarfile.TarInfo) -> str:
    """Without the ./ that `tar -c .` puts before names."""
    return member.name.removeprefix("./")


def _key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _extension(name: str) -> str:
    return "." + name.rpartition("/")[2].partition(".")[2].lower()


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in {".", ".."} for part in name.split("/"))
