"""The runs of a sweep as plain values, and the events that tell of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from pydantic import ValidationError

from leaderboard.schema.records import Split, Track, record_path
from lossbench.config import EVERY, ConfigError, Protocol, Sweep
from lossbench.files import first_fault
from lossbench.running.cold_start import first_strategy
from strategies import FULL_POOL, STRATEGIES, Strategy, load_strategy
from strategies.loading import resolved, strategy_class
from tasks.outside.files import Source

if TYPE_CHECKING:
    from lossbench.running.loop import Run
    from tasks.base import Task


@dataclass(frozen=True)
class Job:
    """One run to be made: plain values that travel to a worker."""

    protocol: Protocol
    reference: str | Source
    """A strategy's name, the content of its file, or `full-pool`."""
    seed: int
    track: Track
    split: Split
    parameters: str = "{}"
    """Of the strategy, where they are not its defaults; JSON."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of a strategy's file, where it is one from outside."""
        return {"strategy": self.reference.digest} if isinstance(self.reference, Source) else {}

    @property
    def full_pool(self) -> bool:
        """Whether it trains on all images that may be labeled, and selects nothing."""
        return self.reference == FULL_POOL

    @property
    def rounds(self) -> int:
        """How many models it trains one after another."""
        return 1 if self.full_pool else self.protocol.budget.rounds

    def strategy(self) -> Strategy:
        """The strategy with its hyper-parameters; for the full pool, one that needs nothing trained besides the model."""
        return load_strategy("random" if self.full_pool else self.reference, json.loads(self.parameters))

    @property
    def name(self) -> str:
        """As its record calls it."""
        return FULL_POOL if self.full_pool else strategy_class(self.reference).name

    @property
    def title(self) -> str:
        """The run in lines for people."""
        return f"{self.protocol.name} {self.name} {self.track} seed {self.seed}"

    def path(self, out: Path) -> Path:
        """Where its record lies."""
        return record_path(out / "records", self.protocol.name, self.track, self.name, self.seed, self.split)

    def run(
        self, task: Task[Any, Any], protocol: Protocol, strategy: Strategy, models: Path, first: tuple[int, ...] = ()
    ) -> Run:
        """Its loop.

        Args:
            task: of its protocol.
            protocol: its own; for the full pool, one that trains once on all images.
            strategy: that selects.
            models: folder of trained weights.
            first: the first labels, where an earlier start of the run had a strategy pick them.
        """
        from lossbench.running.loop import Run  # noqa: PLC0415 - imports torch

        return Run(task, protocol, strategy, self.seed, self.track, self.split, models, first)


@dataclass(frozen=True)
class Event:
    """A job has this many rounds behind it; `state` says what it does now: `running`, `done`, or what it prepares."""

    job: int
    rounds: int
    state: str


class Sink(Interface):
    """Takes events, in this process or from another."""

    def put(self, event: Event, /) -> None:
        """Take one event."""


class NullSink:
    """A sink of events that discards them."""

    def put(self, event: Event, /) -> None:
        """Discard an event."""


def sweep_of(fields: dict[str, Any], names: Mapping[str, str]) -> Sweep:
    """The sweep that a command or a call describes.

    Args:
        fields: of the sweep.
        names: the options or arguments that the fields come from, by field.

    Raises:
        ConfigError: a value does not fit; the message names its option or argument.
    """
    try:
        return Sweep.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(first_fault(error, names)) from None


def jobs(sweep: Sweep, protocols: tuple[Protocol, ...]) -> list[Job]:
    """All runs of a sweep, each once: of a protocol all strategies under one seed before the next seed.

    A sweep that ends early leaves whole seeds behind.

    Raises:
        ConfigError: choices are to be measured on a protocol that holds no images out for them, or a protocol's first
            labels are to be picked by a strategy that cannot.
    """
    for protocol in protocols:
        first_strategy(protocol)
        if sweep.split == "validation" and not protocol.task.data.validation:
            msg = f"{protocol.name} has no validation slice; give task.data.validation a number of images"
            raise ConfigError(msg)
    sources = {
        name: resolved(name) for name in strategies_of(sweep)
    }  # a file is read once: all its runs are of one code
    pairs = [(name, seed) for seed in sweep.seeds for name in sources]
    pairs += [(FULL_POOL, seed) for seed in sweep.full_pool_seeds]
    every = (
        Job(protocol, sources.get(name, name), seed, track, sweep.split, json.dumps(sweep.parameters.get(name, {})))
        for protocol in protocols
        for track in sweep.tracks
        for name, seed in pairs
    )
    return list(dict.fromkeys(every))


@dataclass(frozen=True)
class Shard:
    """One of several parts of a sweep's runs, which together are all of them."""

    number: int
    """From 1 to `count`."""
    count: int

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """A shard as it is written: 2/8 is the second of eight.

        Raises:
            ConfigError: it is not written so, or there is no such part.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        shard = cls(*map(int, found.groups())) if found else None
        if shard is None or not 1 <= shard.number <= shard.count:
            msg = f"--shard {text!r}: I/N is wanted, with I from 1 to N, such as 1/8 for the first of eight parts"
            raise ConfigError(msg)
        return shard

    def of(self, runs: Sequence[Job]) -> list[Job]:
        """The runs of this part: of every protocol equally many, give or take one, and neighbors, which share models.

        The sizes of two parts differ by one run at most.
        """
        mine: list[Job] = []
        dealt = 0
        for _, each in groupby(runs, lambda job: job.protocol.name):
            group = list(each)
            sizes = Counter((dealt + number) % self.count for number in range(len(group)))
            first = sum(sizes[part] for part in range(self.number - 1))
            mine += group[first : first + sizes[self.number - 1]]
            dealt += len(group)
        return mine


def strategies_of(sweep: Sweep) -> tuple[str, ...]:
    """The strategies that a sweep names, each once; `all` stands for every one of Lossbench."""
    every = tuple(strategy.name for strategy in STRATEGIES)
    return tuple(dict.fromkeys(name for each in sweep.strategies for name in (every if each == EVERY else (each,))))
