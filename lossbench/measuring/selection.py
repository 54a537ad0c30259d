"""What a selection costs, phase by phase, and how that grows with the pool and the budget."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import torch
from rich.table import Column, Table

from leaderboard.charts.styles import styles
from lossbench.config import Protocol
from lossbench.measuring.replay import Bank, Replay
from lossbench.paths import Paths
from lossbench.running.loop import Run, selection_context
from lossbench.running.machine import commit, describe, memory_growth
from lossbench.running.streams import stream
from strategies import Context, Strategy
from tasks.base import Ids, Task
from tasks.kinds import build_task
from tasks.training.clock import Clock
from tasks.training.learner import Learner


@dataclass(frozen=True)
class Cost:
    """What one selection costs: medians over repeats, after one that warms up."""

    strategy: str
    pool: int
    budget: int
    forward: float
    """Seconds: the images that were forwarded, times the measured seconds of one."""
    score: float
    pick: float
    forwarded_images: int
    memory_mebibytes: float | None
    """The most that the selection held beside what was there before it; None where the system does not say."""
    repeats: int

    @property
    def select(self) -> float:
        """Seconds besides the forward passes."""
        return self.score + self.pick


@dataclass(frozen=True)
class Growth:
    """Seconds besides the forward passes, fitted by a constant x pool ** by_pool x budget ** by_budget."""

    strategy: str
    by_pool: float | None
    by_budget: float | None


class Sizes(NamedTuple):
    """What is measured."""

    pools: tuple[int, ...]
    budgets: tuple[int, ...]
    repeats: int = 5
    """Measured, after one that warms up."""
    patience_seconds: float = 600.0
    """Once a pool with a budget has taken so long, no further repeat is begun."""


def profiled(protocol: Protocol, strategies: Sequence[Strategy], sizes: Sizes, paths: Paths) -> Iterator[Cost]:
    """Costs of the first round under seed 0, as they are measured; its models are trained first."""
    device = torch.device(paths.device)
    task = build_task(protocol.task, paths.data, paths.out / "cache", device)
    for strategy in strategies:
        run = Run(task, protocol, strategy, 0, "shared", "test", paths.out / "models")
        first = run.labeled()
        committee, _ = run.committee(first, Clock(device), strategy.committee_size)
        yield from Profiler(run.asked, first[-1], sizes).costs(strategy, committee)


def about(protocol: Protocol, paths: Paths) -> dict[str, object]:
    """What the numbers hold for."""
    return {
        "task": protocol.name,
        "protocol": protocol.version,
        "labeled": protocol.budget.initial,
        "precision": protocol.task.recipe.precision,
        "machine": describe(torch.device(paths.device)).model_dump(),
        "commit": commit(),
    }


@dataclass(frozen=True)
class Profiler:
    """Measures selections on a task."""

    task: Task[Any, Any]
    labeled: Ids
    sizes: Sizes

    def seconds_per_image(self, learner: Learner) -> float:
        """Of the real forward pass: the median over batches, after one that warms up."""
        times = []
        for start in range(self.sizes.repeats + 1):
            learner.clock.seconds.clear()
            list(learner.batches((start * learner.batch + np.arange(learner.batch)) % self.task.pool_size))
            times.append(learner.clock.seconds["forward"] / learner.batch)
        return statistics.median(times[1:])

    def costs(self, strategy: Strategy, committee: Sequence[Learner]) -> Iterator[Cost]:
        """Every pool with every budget that is smaller."""
        per_image = self.seconds_per_image(committee[0])
        banks = [Bank.of(each) for each in committee]
        for pool, budget in product(self.sizes.pools, self.sizes.budgets):
            if budget <= pool:
                yield self._cost(strategy, banks, pool, budget, per_image)

    def _cost(self, strategy: Strategy, banks: Sequence[Bank], pool: int, budget: int, per_image: float) -> Cost:
        clock = banks[0].learner.clock
        scores, picks, grown, spent, images = [], [], [], 0.0, 0
        for repeat in range(self.sizes.repeats + 1):
            committee = tuple(bank.replay() for bank in banks)
            ctx = self._context(strategy, committee, pool, budget, repeat)
            clock.seconds.clear()
            with memory_growth(self.task.unlabeled.device) as memory, clock.phase("score"):
                strategy.select(ctx)
            spent += sum(clock.seconds.values())
            clock.seconds.pop("replay", None)
            seconds = clock.selection()
            scores.append(seconds["score"])
            picks.append(seconds["pick"])
            grown.append(memory)
            images = sum(sum(each.forwarded) for each in committee)
            if spent > self.sizes.patience_seconds:
                break
        measured = slice(min(1, len(scores) - 1), None)
        return Cost(
            strategy=strategy.name,
            pool=pool,
            budget=budget,
            forward=images * per_image,
            score=statistics.median(scores[measured]),
            pick=statistics.median(picks[measured]),
            forwarded_images=images,
            memory_mebibytes=max((each for memory in grown[measured] for each in memory), default=None),
            repeats=len(scores[measured]),
        )

    def _context(
        self, strategy: Strategy, committee: tuple[Replay, ...], pool: int, budget: int, repeat: int
    ) -> Context:
        first = self.task.pool_size + self.task.test_size
        candidates = np.arange(first, first + pool)
        rng = stream(repeat, "profile")
        return selection_context(self.task, strategy, committee, budget, candidates, rng, labeled=self.labeled)


def growths(costs: Sequence[Cost]) -> list[Growth]:
    """Of each strategy, by least squares on logarithms; None where one size alone was measured."""
    found = []
    for name in dict.fromkeys(each.strategy for each in costs):
        own = [each for each in costs if each.strategy == name]
        sizes = np.log([[each.pool, each.budget] for each in own])
        varied = [len(set(column)) > 1 for column in sizes.T]
        known = np.column_stack([sizes[:, varied], np.ones(len(own))])
        powers = iter(np.linalg.lstsq(known, np.log([each.select for each in own]), rcond=None)[0].tolist())
        found.append(Growth(name, *(next(powers) if each else None for each in varied)))
    return found


def write(costs: Sequence[Cost], about: dict[str, object], out: Path) -> list[Path]:
    """A JSON file and a log-log chart (PNG and interactive page), as `out` with other suffixes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(each) for each in costs]
    table = {"about": about, "costs": rows, "growth": [asdict(each) for each in growths(costs)]}
    paths = [out.with_suffix(suffix) for suffix in (".json", ".png", ".html")]
    paths[0].write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    chart = cost_chart(costs)
    chart.save(paths[1], scale_factor=2)
    chart.save(paths[2], inline=True)
    return paths


def cost_chart(costs: Sequence[Cost]) -> alt.FacetChart:
    """Seconds besides the forward passes by pool, log-log, a line a strategy, a panel a budget; dashed: one forward pass."""
    names = list(dict.fromkeys(each.strategy for each in costs))
    drawn = styles(names)
    rows = [
        {"strategy": each.strategy, "pool": each.pool, "budget": each.budget, "seconds": each.select} for each in costs
    ]
    color = alt.Color(
        "strategy:N", sort=names, scale=alt.Scale(domain=names, range=[drawn[each].color for each in names])
    )
    dash = alt.StrokeDash(
        "strategy:N", sort=names, scale=alt.Scale(domain=names, range=[list(drawn[each].dash) for each in names])
    )
    pools = alt.Axis(values=sorted({each.pool for each in costs}), format=",")
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("pool:Q", scale=alt.Scale(type="log", nice=False), axis=pools, title="candidates"),
        y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds besides the forward pass"),
        color=color,
    )
    both = alt.layer(base.mark_line().encode(strokeDash=dash), base.mark_point(filled=True, size=40))
    return both.properties(width=380, height=380).facet(column=alt.Column("budget:O", title="picks"))


def tables(costs: Sequence[Cost]) -> Iterator[Table]:
    """The costs, and how they grow."""
    columns = ("pool", "picks", "forward s", "score s", "pick s", "memory MiB", "repeats")
    table = Table(Column("strategy", no_wrap=True), *(Column(each, justify="right") for each in columns))
    for each in costs:
        memory = "" if each.memory_mebibytes is None else f"{each.memory_mebibytes:.0f}"
        seconds = (_readable(number) for number in (each.forward, each.score, each.pick))
        table.add_row(each.strategy, f"{each.pool:,}", f"{each.budget:,}", *seconds, memory, str(each.repeats))
    yield table
    grown = growths(costs)
    if any(each.by_pool is not None or each.by_budget is not None for each in grown):
        table = Table("seconds besides the forward pass grow with", "pool to the power", "picks to the power")
        for each in grown:
            table.add_row(
                each.strategy, *("" if one is None else f"{one:.2f}" for one in (each.by_pool, each.by_budget))
            )
        yield table


def _readable(seconds: float) -> str:
    return "< 0.001" if seconds < 0.001 else f"{seconds:.3g}"  # noqa: PLR2004 - less is noise
