"""The images of a pool by their names: a folder, shards, or either behind an address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from itertools import product
from pathlib import Path, PurePosixPath

from lossbench.words import plural
from tasks.datasets.pools.folder import image_files, say_unread_shards
from tasks.datasets.pools.parquet import parquet_images
from tasks.datasets.pools.places import Place, files_in, is_address, local, place_of
from tasks.datasets.pools.tar import Part, tar_images
from tasks.errors import DataError, require
from tasks.images.decoding import SUFFIXES
from tasks.images.files import EncodedImage, ImageFile
from tasks.progress import report

FORMS: dict[str, Callable[[Place], dict[str, EncodedImage]]] = {".tar": tar_images, ".parquet": parquet_images}
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST_SHARDS = 100_000
THREADS = 8
"""Shards whose lists are read at once: behind an address most of the time is waiting."""
WANTED = f"put image files there ({', '.join(SUFFIXES)}), or shards ({', '.join(FORMS)})"


def folder_of(source: str, root: Path) -> Path | None:
    """The folder that a source is on this machine; None where it is something else."""
    return root / source if not is_address(source) and (root / source).is_dir() else None


def find_images(source: str, root: Path) -> dict[str, ImageFile]:
    """The images of a source by their names, sorted.

    Args:
        source: a folder of images or of shards, a shard, or shards by a pattern such as `shards-{000..099}.tar`; or one of these by an
            address such as `s3://bucket/folder`.
        root: where paths start.

    Returns:
        Images by their paths from the folder; an image of a shard has the name `SHARD/NAME`, so that no other shard changes it.

    Raises:
        DataError: nothing is there, or what is cannot be read; a shard is cut off, has no image, or is there twice.
    """
    if BRACES.search(source):
        return _in_shards(_matching(source, root))
    if is_address(source):
        found = files_in(source)
        if found is None:
            return _in_shards(_single(source, source))
        if images := {name: place for name, place in found.items() if name.lower().endswith(SUFFIXES)}:
            say_unread_shards(name for name in found if PurePosixPath(name).suffix.lower() in FORMS)
            return {name: Part(place, "", 0, place.size) for name, place in images.items()}
        return _in_shards(_shards(found, source))
    path = root / source
    if path.is_file() and path.suffix.lower() in FORMS:
        return _in_shards(_single(local(path), str(path)))
    require(path.is_dir(), f"there is no folder of images {path}", f"give one, or shards ({', '.join(FORMS)})")
    return {**image_files(path, tuple(FORMS))} or _in_shards(_local_shards(path))


def _single(address: str, shown: str) -> dict[str, Place]:
    name = PurePosixPath(shown).name
    require(
        PurePosixPath(name).suffix.lower() in FORMS, f"{shown} is no shard", f"give a folder, or {', '.join(FORMS)}"
    )
    return {name: place_of(address, shown)}


def _local_shards(folder: Path) -> dict[str, Place]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in FORMS and path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found if not path.name.startswith(".")}
    require(names, f"no image in {folder}", WANTED)
    return {name: place_of(local(path), str(path)) for name, path in names.items()}


def _shards(files: Mapping[str, Place], shown: str) -> dict[str, Place]:
    found = {name: place for name, place in files.items() if PurePosixPath(name).suffix.lower() in FORMS}
    require(found, f"no image in {shown}", WANTED)
    return found


def _matching(pattern: str, root: Path) -> dict[str, Place]:
    """The shards that a pattern with braces names, by their paths from the last folder before the braces."""
    base = pattern[: pattern.index("{")].rpartition("/")[0]
    found: dict[str, Place] = {}
    for source in _expanded(pattern):
        name = source[len(base) :].lstrip("/")
        require(name not in found, f"{pattern} names the shard {source} twice", "name each shard once")
        suffix = PurePosixPath(name).suffix.lower()
        require(suffix in FORMS, f"{source} is no shard", f"give {', '.join(FORMS)}")
        found[name] = place_of(source, source) if is_address(source) else place_of(local(root / source), source)
    return found


def _expanded(pattern: str) -> Iterator[str]:
    """All texts of a pattern: `{00..09}` stands for numbers, `{a,b}` for words."""
    pieces, count = [], 1
    for place, piece in enumerate(BRACES.split(pattern)):
        texts = _choices(piece, pattern) if place % 2 else [piece]
        count *= len(texts)
        require(count <= MOST_SHARDS, f"{pattern} names more than {MOST_SHARDS:,} shards", "give their folder")
        pieces.append(texts)
    return ("".join(each) for each in product(*pieces))


def _choices(text: str, pattern: str) -> list[str]:
    found: list[str] = []
    for word in text.split(","):
        match = RANGE.fullmatch(word)
        first, last = (int(match[1]), int(match[2])) if match else (0, 0)
        require(0 <= last - first < MOST_SHARDS, f"{{{word}}} in {pattern} is no range", "write {000..099}")
        found += [f"{number:0{len(match[1])}}" for number in range(first, last + 1)] if match else [word]
    return found


def _in_shards(shards: Mapping[str, Place]) -> dict[str, ImageFile]:
    """The images of all shards by name, those of a shard in its own order: so that its parts are read one after another."""
    images: dict[str, ImageFile] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        # Who hears reports is in the context, which threads do not have by themselves.
        asked = [pool.submit(copy_context().run, _listed, place) for place in shards.values()]
        lists = {shard: each.result() for shard, each in zip(shards, asked, strict=True)}
    _check_distinct(shards, lists)
    for shard in sorted(lists):
        images |= {f"{shard}/{name}": image for name, image in lists[shard].items()}
    return images


@lru_cache(maxsize=MOST_SHARDS)
def _listed(place: Place) -> dict[str, EncodedImage]:
    """The images of a shard; of one that has not changed, as they were found before."""
    report(f"looking into {place.shown}")
    found = FORMS[PurePosixPath(place.path).suffix.lower()](place)
    require(found, f"{place.shown} holds no image", "leave the shard out")
    for name in found:
        outside = name.startswith("/") or ".." in name.split("/")
        require(not outside, f"{place.shown} holds {name!a}, a path that leads out of it", "rename the image")
    return found


def _check_distinct(shards: Mapping[str, Place], lists: Mapping[str, Mapping[str, EncodedImage]]) -> None:
    """Raise a DataError where two shards have the same content. Only those of one size that hold the same names are read."""
    alike: dict[object, list[Place]] = {}
    for shard, place in shards.items():
        alike.setdefault((place.size, tuple(lists[shard])), []).append(place)
    for places in alike.values():
        seen: dict[str, Place] = {}
        for place in places if len(places) > 1 else ():
            other = seen.setdefault(place.digest(), place)
            if other is not place:
                fault = f"{other.shown} and {place.shown} have the same content"
                raise DataError(fault, f"leave one of the {plural(len(places), 'shard')} out")
