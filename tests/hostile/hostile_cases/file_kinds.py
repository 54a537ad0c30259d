"""Paths that are not regular files, or lead nowhere: pipes, devices, folders, links."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile_cases import pose_files, voc_files
from hostile_cases.case import FOUND_FAULTS, RUN, Case, files
from hostile_cases.protocols import SWEEP, VALID
from hostile_cases.records import CHECK, NAME, PLACE, whole

Make = Callable[[Path], object]


def pipe(path: Path) -> None:
    """A pipe that nobody writes to."""
    os.mkfifo(path)


def zeros(path: Path) -> None:
    """A device that never ends."""
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    """A device that is empty."""
    path.symlink_to("/dev/null")


def folder(path: Path) -> None:
    """A folder with a file in it."""
    path.mkdir()
    (path / "inner").write_text("", encoding="utf-8")


def dangling(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def socket(path: Path) -> None:
    """A socket."""
    import socket as sockets

    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with sockets.socket(sockets.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def forbidden(path: Path) -> None:
    """A file that may not be read."""
    path.write_text("", encoding="utf-8")
    path.chmod(0)


KINDS: dict[str, Make] = {
    "a pipe": pipe,
    "/dev/zero": zeros,
    "/dev/null": terminal,
    "a folder": folder,
    "a link to nothing": dangling,
    "a link to itself": loop,
    "a socket": socket,
} | ({} if os.geteuid() == 0 else {"not readable": forbidden})
TINY = {"tasks/tiny.toml": VALID, "sweeps/tiny.toml": SWEEP}
STRATEGY = ("run", "sweeps/tiny.toml", "--strategy", "mine.py", "--workers", "1", "--out", "{}/out")
PLACES: dict[str, tuple[Make, str, tuple[str, ...], int]] = {
    "a protocol": (files(TINY), "tasks/tiny.toml", RUN, 2),
    "a sweep": (files(TINY), "sweeps/tiny.toml", RUN, 2),
    "a listed protocol": (files(TINY), "tasks/tiny.toml", ("list", "protocols", "{}/tasks"), 2),
    "a strategy file": (files(TINY | {"mine.py": ""}), "mine.py", STRATEGY, 2),
    "a kind file": (files(TINY | {"kind.py": ""}), "kind.py", (*RUN, "--kind-file", "kind.py"), 2),
    "a checked strategy": (files({"mine.py": ""}), "mine.py", ("submission", "check", "mine.py"), 2),
    "a record": (files(whole()), PLACE, CHECK, FOUND_FAULTS),
    "a record to go on from": (
        files(TINY | {"out/records/tiny/random-shared-s0.json": ""}),
        "out/records/tiny/random-shared-s0.json",
        RUN,
        2,
    ),
    "a diagnosed record": (files(whole()), PLACE, ("diagnose", PLACE, "--out", "{}/out"), 2),
    "a VOC annotation": (lambda at: voc_files.devkit(at, {}), f"{voc_files.ROOT}/Annotations/a3.xml", RUN, 2),
    "a VOC list": (lambda at: voc_files.devkit(at, {}), f"{voc_files.ROOT}/ImageSets/Main/trainval.txt", RUN, 2),
    "a VOC image": (lambda at: voc_files.devkit(at, {}), f"{voc_files.ROOT}/JPEGImages/a3.jpg", RUN, 2),
    "a pose annotation": (
        lambda at: pose_files.dataset(at, {}),
        f"{pose_files.ROOT}/annotations/mpii_train.json",
        RUN,
        2,
    ),
    "a pose image": (lambda at: pose_files.dataset(at, {}), f"{pose_files.ROOT}/images/3.jpg", RUN, 2),
}


def replacing(make: Make, place: str, kind: Make) -> Make:
    """Makes the input, and puts something else in the place of one file."""

    def changed(at: Path) -> None:
        make(at)
        (at / place).unlink()
        kind(at / place)

    return changed


def places() -> Iterator[Case]:
    """Every place of a file with every kind of thing that is none."""
    for what, (make, place, words, code) in PLACES.items():
        for name, kind in KINDS.items():
            if what == "a record to go on from" and name.startswith("a link"):
                continue  # the run writes a record in the place of the link
            printed = code == FOUND_FAULTS
            wanted = (NAME,) if printed else (Path(place).name.partition(".")[0],)
            if what == "a record" and name == "a folder":
                wanted = (NAME,)
            yield Case(f"{what} that is {name}", replacing(make, place, kind), words, wanted, code, printed)


CASES = (*places(),)
