"""Actors on a Ray cluster that make files of a round's stores, given out by Ray Data."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lossbench.config import ConfigError
from lossbench.errors import LossbenchError
from lossbench.labeling.makers import Maker, Place, Progress
from lossbench.running.executors.cluster.nodes import difference
from lossbench.running.executors.cluster.remote import versions
from tasks.shards import Sharding

Batch = dict[str, Any]


class Actor:
    """Makes the files whose numbers it is given, one core or card for itself. Faults are given back as texts, which stay one line."""

    def __init__(self, place: Place, wanted: dict[str, str]) -> None:
        self._place, self._wanted = place, wanted
        self._maker: Maker | None = None

    def __call__(self, batch: Batch) -> Batch:
        """Make the files of a batch."""
        return {**batch, "fault": np.array([self._made(int(number)) for number in batch["number"]], dtype=object)}

    def _made(self, number: int) -> str:
        """Make a file; what went wrong, or an empty text."""
        if self._maker is None and (fault := difference(self._wanted, versions())):
            return f"node {platform.node()}: {fault}"
        try:
            self._maker = self._maker or Maker(self._place)
            self._maker.make(number)
        except LossbenchError as error:
            return str(error)
        except OSError as error:
            return f"node {platform.node()}: {error}"
        return ""


@dataclass(frozen=True)
class RayMakers:
    """Actors on the nodes of a Ray cluster, which all have the cache and the images under the same paths.

    Args:
        place: of the round.
        most: actors at a time; by default one for each core, or each GPU.
        ray: connected.
        between: is called after each file; what it raises ends the work.
    """

    place: Place
    most: int | None
    ray: Any
    between: Callable[[], None]
    trusts_files: bool = False

    def make(self, folder: Path, sharding: Sharding, numbers: Sequence[int]) -> None:
        """Make files; see `tasks.shards.Helpers`.

        Raises:
            ConfigError: the cluster has no such device, or a file cannot be made.
        """
        if len(numbers) == 1:
            return
        place = replace(self.place, store=folder.absolute(), question=sharding.question)
        progress = Progress(folder, sharding)
        with _quiet():
            data = import_module("ray.data")
            source = data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
            made = source.map_batches(
                Actor,
                fn_constructor_args=(place, versions()),
                batch_size=1,
                concurrency=min(self._places(), len(numbers)),
                **self._resources(),
            )
            for batch in made.iter_batches(batch_size=1, prefetch_batches=0):
                self.between()
                if fault := str(batch["fault"][0]):
                    raise ConfigError(fault)
                progress.report()

    def _resources(self) -> dict[str, float]:
        """What an actor takes."""
        return {"num_cpus": 1} if self.place.device == "cpu" else {"num_cpus": 0, "num_gpus": 1}

    def _places(self) -> int:
        """How many actors fit."""
        name = "CPU" if self.place.device == "cpu" else "GPU"
        found = int(self.ray.cluster_resources().get(name, 0))
        if not found:
            msg = f"no node of the cluster has a {name}"
            raise ConfigError(msg)
        return min(found, self.most or found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data's own reports are not shown."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = import_module("ray.data").DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    yield
