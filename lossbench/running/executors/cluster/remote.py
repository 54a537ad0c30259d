"""What runs on the nodes of a cluster."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import platform
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from leaderboard.schema.records import Record
from lossbench.config import ConfigError
from lossbench.paths import Paths
from lossbench.running.executors.base import Deadline
from lossbench.running.executors.outside import OutsideCode
from lossbench.running.jobs import Job
from tasks.notices import LOGGER

PACKAGES = ("lossnet", "tasks", "strategies", "leaderboard", "lossbench")


def versions() -> dict[str, str]:
    """The versions of all that decides what a run computes, by name; packages of extras that are not installed are left out."""
    return _versions()


@cache
def _versions() -> dict[str, str]:
    wanted = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in metadata.requires("lossbench") or ()]
    found = {"python": platform.python_version(), "the code of lossbench": _digest()}
    for name in wanted:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _digest() -> str:
    """Of our own packages."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[4]
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if not path.is_relative_to(root / "leaderboard/submissions"):
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


class Said(NamedTuple):
    """A line for the user."""

    line: str


Message = str | Said | Record
"""What a run has to say: what it prepares, a line for the user, or its record after a further round."""


class _ToDriver(logging.Handler):
    """Hands on what is said on this node."""

    def __init__(self, messages: SimpleQueue[Message | None]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one line."""
        self._messages.put(Said(record.getMessage().removeprefix("lossbench: ")))


def rounds(
    outside: OutsideCode, content: bytes, paths: Paths, record: Record | None, seconds: float
) -> Iterator[Message]:
    """Make a run, or the rest of it: gives messages, first an empty text, and the record after every round.

    Args:
        outside: code that the run may need.
        content: the `Job`, pickled; its classes may be from outside.
        paths: of data; models and caches are kept in its `scratch`, or in a folder of this node.
        record: of the rounds that are done; None if there are none.
        seconds: after which no round begins.

    Raises:
        LossbenchError: as `rounds_of`.
    """
    deadline = Deadline.after(seconds)
    yield ""
    messages: SimpleQueue[Message | None] = SimpleQueue()
    handler = _ToDriver(messages)
    LOGGER.addHandler(handler)
    try:
        with ThreadPoolExecutor(1) as pool:  # while it works, this thread hands on what it reports
            work = pool.submit(_make, outside, content, paths, record, deadline, messages)
            while (message := messages.get()) is not None:
                yield message
            work.result()
    finally:
        LOGGER.removeHandler(handler)


def _make(
    outside: OutsideCode,
    content: bytes,
    paths: Paths,
    record: Record | None,
    deadline: Deadline,
    messages: SimpleQueue[Message | None],
) -> None:
    from lossbench.running.machine import check_device  # noqa: PLC0415 - imports torch
    from lossbench.running.sweep import prepare, rounds_of  # noqa: PLC0415

    try:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        prepare()
        check_device(paths.device)
        outside.load()
        job: Job = pickle.loads(content)  # noqa: S301 - from the process that owns this task
        own = replace(paths, scratch=_own_folder(paths.scratch))
        for later in rounds_of(job, own, record, messages.put, lambda: deadline.passed):
            messages.put(later)
    finally:
        messages.put(None)


def _own_folder(given: Path | None) -> Path:
    """Where this node keeps models and caches: a given folder, or one in the folder for temporary files.

    Raises:
        ConfigError: somebody else owns that folder; what lies there cannot be trusted.
    """
    if given is not None:
        return given
    folder = Path(tempfile.gettempdir()) / f"lossbench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        msg = f"{platform.node()}: {folder} is another user's; give a folder with --scratch DIR"
        raise ConfigError(msg)
    return folder
