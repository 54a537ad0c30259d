"""Processes that make files of a round's stores: decoded images, what a frozen trunk gives, and scores."""

from __future__ import annotations

import logging
import math
import os
import pickle
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lossbench.labeling.plan import RoundSettings
from lossbench.running.executors.outside import OutsideCode
from lossbench.running.executors.schedule import Group
from lossbench.running.executors.workers import Worker, end_with_parent, spread, warm_up, worker_context
from tasks.cores import share_cores
from tasks.notices import LOGGER
from tasks.progress import report
from tasks.shards import Question, Sharding, helped_by, make_file


@dataclass(frozen=True)
class Place:
    """A round as another process makes it again, and which of its stores is wanted there.

    Args:
        content: the settings, pickled; their classes may be from outside.
        outside: code that they need.
        working: the folder in which the round's paths start.
        cache: of the round; absolute, and shared.
        device: of the model.
        store: folder of the store.
        question: that leads to the store.
    """

    content: bytes
    outside: OutsideCode
    working: Path
    cache: Path
    device: str
    store: Path = Path()
    question: Question | None = None

    @classmethod
    def of(cls, settings: RoundSettings, cache: Path, device: str) -> Place:
        """The place of a round of this process."""
        return cls(pickle.dumps(settings), OutsideCode.loaded(), Path.cwd(), cache.absolute(), device)


class ReachedError(Exception):
    """The store that is looked for has been reached."""

    def __init__(self, sharding: Sharding) -> None:
        super().__init__(sharding.title)
        self.sharding = sharding


@dataclass(frozen=True)
class Search:
    """Stops a process where it is about to compute the store that it looks for. Files of other stores were checked by who asks."""

    store: Path
    trusts_files: bool = True

    def make(self, folder: Path, sharding: Sharding, numbers: Sequence[int]) -> None:  # noqa: ARG002 - as Helpers.make
        """Stop at the store."""
        if folder == self.store:
            raise ReachedError(sharding)


class Maker:
    """Makes files of a store. A round is made again up to the place where it would compute them: no rows are sent anywhere."""

    def __init__(self, place: Place) -> None:
        from lossbench.running.sweep import prepare  # noqa: PLC0415 - imports torch

        LOGGER.setLevel(logging.ERROR)  # what there is to say of the images has been said
        place.outside.load()
        prepare()
        share_cores()
        os.chdir(place.working)
        self._store = place.store
        self._sharding = _reached(place)

    def make(self, number: int) -> None:
        """Make a file; nothing happens where others have made all while this process was starting."""
        if self._sharding is not None:
            make_file(self._store, self._sharding, number)


def _reached(place: Place) -> Sharding | None:
    import torch  # noqa: PLC0415

    from lossbench.labeling.round import LabelingRound  # noqa: PLC0415 - imports torch
    from lossbench.running.machine import check_device  # noqa: PLC0415

    check_device(place.device)
    settings: RoundSettings = pickle.loads(place.content)  # noqa: S301 - from the process that started this one
    with helped_by(Search(place.store)):
        try:
            LabelingRound(settings, place.cache, torch.device(place.device)).ask(place.question)
        except ReachedError as found:
            return found.sharding
    return None


class Progress:
    """Reports how much of a store is there."""

    def __init__(self, folder: Path, sharding: Sharding) -> None:
        self._folder, self._sharding = folder, sharding
        self._files = math.ceil(sharding.count / sharding.per_file)
        self._before, self._begun = self._there(), time.monotonic()

    def report(self) -> None:
        """Say it."""
        there = self._there()
        speed = (there - self._before) * self._sharding.per_file / max(time.monotonic() - self._begun, 1e-9)
        report(f"{self._sharding.title}: {100 * there // self._files} %, {speed:.0f} images/s")

    def _there(self) -> int:
        return sum(1 for _ in self._folder.glob("*.npy"))


@dataclass(frozen=True)
class LocalMakers:
    """Processes of this machine, of one core each; on GPUs they take turns with the cards.

    Args:
        place: of the round.
        count: of the processes.
        kind: of task, whose imports processes share.
    """

    place: Place
    count: int
    kind: str
    trusts_files: bool = False

    def make(self, folder: Path, sharding: Sharding, numbers: Sequence[int]) -> None:
        """Make files; see `tasks.shards.Helpers`.

        Raises:
            WorkerError: a process has died under the same file twice.
            LossbenchError: rows cannot be computed.
        """
        if len(numbers) == 1:
            return
        warm_up([self.kind], self.place.device)
        context = worker_context(self.place.device)
        place = replace(self.place, store=folder.absolute(), question=sharding.question)
        places = [
            replace(place, device=_card(self.place.device, number)) for number in range(min(self.count, len(numbers)))
        ]
        workers = [Worker(partial(ProcessPoolExecutor, 1, context, _begin, (each,))) for each in places]
        groups = [Group(str(folder), number) for number in numbers]
        titles = [f"file {number} of the {sharding.title}" for number in numbers]
        spread(_make, numbers, groups, workers, Progress(folder, sharding).report, titles)


def _card(device: str, number: int) -> str:
    """The device of a process: where the cards are not named, each process has the next one."""
    import torch  # noqa: PLC0415

    return f"cuda:{number % max(torch.cuda.device_count(), 1)}" if device == "cuda" else device


_place: list[Place] = []
_maker: list[Maker] = []
"""In a worker: what it makes files of, and its maker, once there is one."""


def _begin(place: Place) -> None:
    end_with_parent()
    _place.append(place)


def _make(_: int, number: int) -> None:
    if not _maker:
        _maker.append(Maker(_place[0]))
    _maker[0].make(number)


@contextmanager
def helpers(
    settings: RoundSettings, cache: Path, device: str, workers: int | None, cluster: str | None
) -> Iterator[None]:
    """Within the block, files of the round's stores are made by processes of this machine or of a cluster, if one is named.

    Args:
        settings: of the round.
        cache: of the round.
        device: of the model.
        workers: how many processes; this one alone where neither this nor a cluster is given.
        cluster: address of a Ray cluster; `workers` are then the most.

    Raises:
        ConfigError: no cluster answers.
    """
    place = Place.of(settings, cache, device)
    if cluster is not None:
        from lossbench.labeling.ray_makers import RayMakers  # noqa: PLC0415 - where Ray is
        from lossbench.running.executors.cluster.connection import connected  # noqa: PLC0415

        with connected(cluster) as (ray, between), helped_by(RayMakers(place, workers, ray, between)):
            yield
    elif workers is not None and workers > 1:
        with helped_by(LocalMakers(place, workers, settings.task.kind)):
            yield
    else:
        yield
