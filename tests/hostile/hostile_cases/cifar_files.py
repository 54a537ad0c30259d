"""CIFAR-10's folder: files that are missing, cut, exchanged, malicious pickles, or no files."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile_cases.case import RUN, Case, file, files
from hostile_cases.file_kinds import KINDS
from hostile_cases.protocols import CLASSIFICATION, SWEEP
from hostile_cases.stores import DAMAGES
from hostile_cases.toml_text import changed, document

ROOT = "data/cifar-10-batches-py"
FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
PROTOCOL = document(changed(CLASSIFICATION, "task.data", {"validation": 12}))
BATCH = pickle.dumps({"data": [[0] * 3072], "labels": [0]})
TYPES: dict[str, object] = {
    "a list": [],
    "a number": 3,
    "no labels": {"data": b""},
    "labels that are text": {"data": b"", "labels": "cat"},
    "keys in bytes": {b"data": b"", b"labels": []},
}


def folder(place: Path, replaced: dict[str, bytes | None]) -> None:
    """A folder of seven small files, of which some are others or missing."""
    files({"tasks/tiny.toml": PROTOCOL, "sweeps/tiny.toml": SWEEP})(place)
    for name in FILES:
        content = replaced.get(name, BATCH)
        if content is not None:
            file(f"{ROOT}/{name}", content)(place)


def case(name: str, make: Callable[[Path], object], wanted: tuple[str, ...]) -> Case:
    """A run on CIFAR-10."""
    return Case(f"a CIFAR-10 folder: {name}", make, RUN, wanted)


def missing() -> Iterator[Case]:
    """Nothing there, or not all."""

    def bare(place: Path) -> None:
        folder(place, dict.fromkeys(FILES))

    yield case("no folder", bare, ("data_batch_1", "not found", "--data"))
    for name in FILES[:1]:
        yield case(f"no {name}", lambda place, name=name: folder(place, {name: None}), (name, "not found"))


def damaged() -> Iterator[Case]:
    """The first file is another: all have sums that are not the published ones, and none is unpickled."""
    for name, change in DAMAGES.items():
        content = change(BATCH * 20)
        yield case(name, lambda place, content=content: folder(place, {FILES[0]: content}), (FILES[0], "MD5"))
    for name, value in TYPES.items():
        content = pickle.dumps(value)
        yield case(f"a pickle of {name}", lambda place, content=content: folder(place, {FILES[0]: content}), ("MD5",))


def no_files() -> Iterator[Case]:
    """Something else in the place of the first file."""
    for name, kind in KINDS.items():

        def make(place: Path, kind: Callable[[Path], object] = kind) -> None:
            folder(place, {})
            (place / ROOT / FILES[0]).unlink()
            kind(place / ROOT / FILES[0])

        yield case(name, make, (FILES[0],))


CASES = (*missing(), *damaged(), *no_files())
