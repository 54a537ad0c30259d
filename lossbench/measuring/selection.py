"""Measures what one selection costs, by phase, and how the cost grows with the pool and the budget."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch

from lossbench.config import ConfigError, Protocol
from lossbench.measuring.replay import OutputBank, ReplayLearner
from lossbench.paths import Paths
from lossbench.running.loop import Run
from lossbench.running.machine import commit, describe, memory_growth
from lossbench.running.selecting import Choice, checked, selecting, selection_context
from lossbench.running.streams import stream
from strategies import Context, Strategy
from tasks.base import Ids, Task
from tasks.kinds import build_task
from tasks.training.clock import Clock
from tasks.training.learner import Learner


@dataclass(frozen=True)
class SelectionCost:
    """The cost of one selection: medians over the repeats, without the first repeat, which warms up."""

    strategy: str
    pool: int
    """Number of candidates."""
    budget: int
    """Number of picks."""
    forward: float
    """Seconds of the forward passes: number of forwarded images times the measured seconds per image."""
    score: float
    """Seconds of computing scores."""
    pick: float
    """Seconds of choosing among the scored candidates."""
    forwarded_images: int
    memory_mebibytes: float | None
    """Peak memory during the selection, less the memory in use before it; None if the system does not report it."""
    repeats: int
    """How many repeats were measured."""

    @property
    def select(self) -> float:
        """Seconds without the forward passes."""
        return self.score + self.pick


class SelectionSizes(NamedTuple):
    """The sizes to measure, and how often."""

    pools: tuple[int, ...]
    """Numbers of candidates."""
    budgets: tuple[int, ...]
    """Numbers of picks."""
    repeats: int = 5
    """Measured repeats, after one that warms up."""
    max_seconds: float = 600.0
    """Once the repeats of one pool and budget have taken this long together, no further repeat starts."""

    def check(self) -> None:
        """Check that something is measured of every pool and every budget.

        Raises:
            ConfigError: a budget is larger than every pool, or a pool is smaller than every budget.
        """
        if max(self.budgets) > max(self.pools):
            msg = f"{max(self.budgets):,} picks are more than the {max(self.pools):,} candidates of the largest pool; lower --budget or raise --pool"
            raise ConfigError(msg)
        if min(self.pools) < min(self.budgets):
            msg = f"{min(self.pools):,} candidates are fewer than the {min(self.budgets):,} picks of the smallest budget; raise --pool or lower --budget"
            raise ConfigError(msg)


def measure_selection(
    protocol: Protocol, strategies: Sequence[Strategy], sizes: SelectionSizes, paths: Paths
) -> Iterator[SelectionCost]:
    """Measure the selection of a protocol's first round under seed 0, after training its models.

    Args:
        protocol: names the task and the number of initial labels.
        strategies: whose selections to measure.
        sizes: pools and budgets to measure.
        paths: folders and device.

    Yields:
        For each strategy, the cost of every pool with every budget that is not larger than it.

    Raises:
        ConfigError: a pool or a budget fits none of the others, so that nothing would be measured of it.
    """
    sizes.check()
    device = torch.device(paths.device)
    task = build_task(protocol.task, paths.data, paths.out / "cache", device)
    for strategy in strategies:
        run = Run(task, protocol, strategy, 0, "shared", "test", paths.out / "models")
        labeled = run.labeled()
        committee, _ = run.committee(labeled, Clock(device), strategy.committee_size)
        yield from SelectionBenchmark(run.asked, labeled[-1], sizes).costs(strategy, committee)


def measurement_conditions(protocol: Protocol, paths: Paths) -> dict[str, object]:
    """What a measurement depends on besides strategies and sizes: protocol, machine and code."""
    return {
        "task": protocol.name,
        "protocol": protocol.version,
        "labeled": protocol.budget.initial,
        "precision": protocol.task.recipe.precision,
        "machine": describe(torch.device(paths.device)).model_dump(),
        "commit": commit(),
    }


@dataclass(frozen=True)
class SelectionBenchmark:
    """Measures selections on one task."""

    task: Task[Any, Any]
    labeled: Ids
    """The images on which the committee was trained."""
    sizes: SelectionSizes

    def costs(self, strategy: Strategy, committee: Sequence[Learner]) -> Iterator[SelectionCost]:
        """Yield the cost of every pool with every budget that is not larger than it."""
        per_image = self._seconds_per_image(committee[0])
        banks = [OutputBank.of(learner) for learner in committee]
        for pool, budget in product(self.sizes.pools, self.sizes.budgets):
            if budget <= pool:
                yield self._cost(strategy, banks, pool, budget, per_image)

    def _seconds_per_image(self, learner: Learner) -> float:
        """Seconds of the real forward pass: the median over batches, after one that warms up."""
        times = []
        for start in range(self.sizes.repeats + 1):
            learner.clock.seconds.clear()
            list(learner.batches((start * learner.batch + np.arange(learner.batch)) % self.task.pool_size))
            times.append(learner.clock.seconds["forward"] / learner.batch)
        return statistics.median(times[1:])

    def _cost(
        self, strategy: Strategy, banks: Sequence[OutputBank], pool: int, budget: int, per_image: float
    ) -> SelectionCost:
        clock = banks[0].learner.clock
        scores, picks, growths, total, images = [], [], [], 0.0, 0
        for repeat in range(self.sizes.repeats + 1):
            committee = tuple(bank.replay() for bank in banks)
            ctx = self._context(strategy, committee, pool, budget, repeat)
            clock.seconds.clear()
            memory = memory_growth(self.task.unlabeled.device)
            where = f"{strategy.name}, {pool} candidates, {budget} picks"
            with memory as growth, clock.phase("score"), selecting(where):
                selection = strategy.select(ctx)
            checked(selection, ctx, where)
            total += sum(clock.seconds.values())
            clock.seconds.pop("replay", None)
            seconds = clock.selection()
            scores.append(seconds["score"])
            picks.append(seconds["pick"])
            growths.append(growth)
            images = sum(sum(learner.forwarded) for learner in committee)
            if total > self.sizes.max_seconds:
                break
        measured = slice(min(1, len(scores) - 1), None)
        return SelectionCost(
            strategy=strategy.name,
            pool=pool,
            budget=budget,
            forward=images * per_image,
            score=statistics.median(scores[measured]),
            pick=statistics.median(picks[measured]),
            forwarded_images=images,
            memory_mebibytes=max((mebibytes for growth in growths[measured] for mebibytes in growth), default=None),
            repeats=len(scores[measured]),
        )

    def _context(
        self, strategy: Strategy, committee: tuple[ReplayLearner, ...], pool: int, budget: int, repeat: int
    ) -> Context:
        first = self.task.pool_size + self.task.test_size
        candidates = np.arange(first, first + pool)
        rng = stream(repeat, "profile")
        return selection_context(self.task, strategy, committee, Choice(self.labeled, candidates, budget), rng)


@dataclass(frozen=True)
class CostGrowth:
    """Exponents of the fit: seconds without forward passes = constant * pool ** pool_exponent * budget ** budget_exponent.

    An exponent is None if only one size was measured.
    """

    strategy: str
    pool_exponent: float | None
    budget_exponent: float | None


def fit_growth(costs: Sequence[SelectionCost]) -> list[CostGrowth]:
    """The growth of each strategy's cost, by least squares on logarithms."""
    growths = []
    for name in dict.fromkeys(cost.strategy for cost in costs):
        measured = [cost for cost in costs if cost.strategy == name]
        sizes = np.log([[cost.pool, cost.budget] for cost in measured])
        varied = [len(set(column)) > 1 for column in sizes.T]
        design = np.column_stack([sizes[:, varied], np.ones(len(measured))])
        exponents = iter(np.linalg.lstsq(design, np.log([cost.select for cost in measured]), rcond=None)[0].tolist())
        growths.append(CostGrowth(name, *(next(exponents) if column else None for column in varied)))
    return growths
