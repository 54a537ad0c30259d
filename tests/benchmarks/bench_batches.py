"""UHerding, BAIT, DropQuery and PPAL at D = 1,280 beside the forms that the field uses: `uv run pytest tests/benchmarks/bench_batches.py`.

N = 50,000, K = 1,000, C = 10, float32, two threads, once each. The field's forms hold all pairs, or multiply all candidates by
matrices of D x D at every pick; they are measured on a part and extrapolated ("*").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from limits import Machine, seconds
from torch import Tensor, nn
from torch.nn import functional

from lossbench.running.machine import memory_growth
from strategies import Context, Strategy
from strategies.bait import Bait
from strategies.dropquery import DropQuery
from strategies.ppal import PPAL
from strategies.uherding import UHerding
from tasks.base import Ids, Outputs
from tasks.classification.task import COLORS, UnlabeledClassification
from tasks.images.pixels import Pixels
from tasks.training.learner import Learner

pytestmark = pytest.mark.usefixtures("two_threads")
N, L, K, D, C = 50_000, 1_000, 1_000, 1_280, 10
PART = 5_000
"""Points of the form that holds all pairs."""
MOST = {"uherding": (60, 1024), "bait": (120, 1280), "dropquery": (20, 1280), "ppal": (60, 1280)}
"""Seconds and mebibytes."""


class Held(Learner):
    """A classifier whose last features lie in memory: what a strategy does after the forward pass, and nothing else."""

    def batches(self, ids: Ids) -> Iterator[tuple[Ids, Outputs]]:
        """Outputs of consecutive images."""
        for start in range(0, len(ids), self.batch):
            part = ids[start : start + self.batch]
            held = self.model.features[torch.from_numpy(part)]
            with torch.no_grad():
                yield part, Outputs((), (held,), self.model.head(held))


class LastLayer(nn.Module):
    """Features in memory, and the classifier that tells most of their clusters apart."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        middles = torch.rand(100, D, generator=generator)
        self.features = torch.empty(N + L, D).normal_(0, 0.5, generator=generator)
        self.features += middles[torch.randint(100, (N + L,), generator=generator)]
        self.features.relu_()
        self.head = nn.Linear(D, C).requires_grad_(requires_grad=False)
        self.head.weight.copy_(0.3 * (middles[:C] - middles.mean(0)))
        self.head.bias.copy_(-(self.head.weight @ middles.mean(0)))


@pytest.fixture(scope="module")
def learner() -> Learner:
    """The classifier."""
    reader = UnlabeledClassification(Pixels(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), 32, COLORS))
    return Held(reader, LastLayer(), batch=1024)


def context(learner: Learner) -> Context:
    """All but the last images are candidates."""
    labels = learner.model.head(learner.model.features[N:]).argmax(1)
    member = functional.one_hot(labels, C).bool()
    return Context(K, np.arange(N, N + L), np.arange(N), (learner,), np.random.default_rng(0), lambda: member)


@pytest.fixture
def measured(learner: Learner, benchmark, capsys: pytest.CaptureFixture[str]) -> Callable[[Strategy, float], None]:
    """Measures one selection and prints a line of the table."""

    def of(strategy: Strategy, theirs: float, floor: float) -> None:
        ctx = context(learner)
        with memory_growth(torch.device("cpu")) as grown:
            found = benchmark.pedantic(strategy.select, (ctx,))
        assert len(set(found.ids.tolist())) == K
        ours = benchmark.stats.stats.median
        with capsys.disabled():
            usual = f"{theirs / ours:.0f}x as fast as the usual form ({theirs:.0f} s *); " if theirs else ""
            print(f"\n{strategy.name}: {ours:.1f} s, {usual}floor {floor:.1f} s, {grown[0]:.0f} MiB")
        assert ours <= MOST[strategy.name][0]
        assert grown[0] <= MOST[strategy.name][1]
        assert not theirs or theirs > ours

    return of


def test_uherding(learner: Learner, machine: Machine, measured: Callable[..., None]) -> None:
    points = functional.normalize(learner.model.features[:PART])

    def pairs() -> Tensor:
        return torch.exp(-torch.cdist(points, points).square())

    kernel, covered = pairs(), torch.zeros(PART)
    scale = (UHerding().most_candidates / PART) ** 2
    theirs = scale * (seconds(pairs, 1) + K * seconds(lambda: (kernel - covered).clamp(min=0).mean(1).argmax(), 2))
    count = UHerding().most_candidates
    measured(UHerding(), theirs, machine.floor(flops=2 * (2**27 + count * L) * D))


def test_bait(learner: Learner, machine: Machine, measured: Callable[..., None]) -> None:
    points, one, other = learner.model.features[:PART], torch.randn(D, D), torch.randn(D, D)

    def pick() -> Tensor:
        left = points @ one
        return ((left * points).sum(1) / ((points @ other) * points).sum(1)).argmax()

    theirs = seconds(pick, 2) * N / PART * 2 * K
    measured(Bait(), theirs, machine.floor(bytes_read=4 * N * D * 2 * K))


def test_dropquery(machine: Machine, measured: Callable[..., None]) -> None:
    measured(DropQuery(), 0.0, machine.floor(flops=2 * N * D * C * 3))


def test_ppal(machine: Machine, measured: Callable[..., None]) -> None:
    measured(PPAL(), 0.0, machine.floor(flops=2 * 2 * 4 * K * K * D))
