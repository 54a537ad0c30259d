"""The picking kernels beside the forms that the field uses: `uv run pytest tests/benchmarks/bench_kernels.py`.

float32, D = 512, C = 10, two threads, medians of 5 after one that warms up; both forms in one run. Where the field's form
takes minutes, 20 of its picks are measured and the rest extrapolated ("*"). Beside both stands the floor: the bytes that
must be read over the bandwidth of this machine, or the multiplications over its matrix rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from limits import Machine, seconds
from sklearn.metrics import pairwise_distances
from torch import Tensor, nn
from torch.nn import functional

from lossbench.running.machine import memory_growth
from strategies import Context
from strategies.alfa_mix import AlfaMix
from strategies.cdal import Mixtures, cdal_picks
from strategies.graph import CoreGCN, Graph, NodeOutputs, train_graph_network
from strategies.kernels.clustering import k_means_plus_plus
from strategies.kernels.geometry import greedy_k_center
from tasks.base import Ids, Outputs
from tasks.classification.task import COLORS, UnlabeledClassification
from tasks.images.pixels import Pixels
from tasks.training.learner import Learner

pytestmark = pytest.mark.usefixtures("two_threads")
N, L, K, D, C = 50_000, 10_000, 1_000, 512, 10
NAIVE_PICKS = 20


@pytest.fixture(scope="module")
def points() -> Tensor:
    """Embeddings as a network with ReLU gives them: not negative, in clusters, of different lengths."""
    generator = torch.Generator().manual_seed(0)
    middles = torch.rand(100, D, generator=generator)
    member = torch.randint(100, (N + L,), generator=generator)
    noise = 0.5 * torch.randn(N + L, D, generator=generator)
    return (middles[member] + noise).relu_() * (0.5 + torch.rand(N + L, 1, generator=generator))


@pytest.fixture(scope="module")
def residuals() -> Tensor:
    """Softmax less the prediction, some of them sure."""
    logits = 3 * torch.randn(N, C, generator=torch.Generator().manual_seed(1))
    return logits.softmax(1) - functional.one_hot(logits.argmax(1), C)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., None]]:
    """Prints one line of the table."""

    def line(what: str, ours: float, theirs: float, floor: float, note: str = "") -> None:
        with capsys.disabled():
            print(
                f"\n{what}: {ours:.2f} s, {theirs / ours:.0f}x as fast as the usual form ({theirs:.1f} s); "
                f"floor {floor:.2f} s ({floor / ours:.0%} of it reached){note}"
            )

    return line


def extrapolated(pick: Callable[[int], object], start: float = 0.0) -> float:
    """Seconds of K picks, from some of them."""
    return start + seconds(lambda: [pick(number) for number in range(NAIVE_PICKS)], 1) * K / NAIVE_PICKS


def test_k_center(points: Tensor, machine: Machine, report: Callable[..., None], benchmark) -> None:
    candidates, labeled = points[:N], points[N:]
    ours = seconds(lambda: greedy_k_center(candidates, labeled, K))
    rows, distances = benchmark.pedantic(greedy_k_center, (candidates, labeled, K))

    array = candidates.numpy()
    near = pairwise_distances(array, labeled.numpy()).min(1)

    def pick(_: int) -> None:
        farthest = int(near.argmax())
        np.minimum(near, pairwise_distances(array, array[[farthest]])[:, 0], out=near)

    first = seconds(lambda: pairwise_distances(array, labeled.numpy()).min(1), 1)
    theirs = extrapolated(pick, first)
    report(
        "k-center, 50,000 points, 10,000 centers, 1,000 picks",
        ours,
        theirs,
        machine.floor(flops=2 * N * (L + K) * D),
        " *",
    )
    assert theirs >= 10 * ours

    exact, known = candidates.double(), labeled.double()
    lengths = exact.square().sum(1)
    nearest = torch.cat([torch.cdist(part, known).amin(1).square() for part in exact.split(5000)])
    for row, distance in zip(rows.tolist(), distances.tolist(), strict=True):
        assert distance**2 == pytest.approx(float(nearest.max()), rel=2e-5)  # of squares; 1e-5 of distances
        nearest = torch.minimum(nearest, lengths + lengths[row] - 2 * (exact @ exact[row]))


def test_badge(points: Tensor, residuals: Tensor, machine: Machine, report: Callable[..., None], benchmark) -> None:
    inputs = points[:N]

    def draw() -> Tensor:
        return k_means_plus_plus(residuals, inputs, K, np.random.default_rng(0))

    with memory_growth(torch.device("cpu")) as grown:
        rows = draw()
    ours = seconds(draw, 3)
    benchmark.pedantic(draw)

    gradients = torch.einsum("na,nb->nab", residuals, inputs).flatten(1).numpy()
    draws = np.random.default_rng(0).random(K)
    chosen = [int(draws[0] * N)]
    near = pairwise_distances(gradients, gradients[chosen])[:, 0] ** 2

    def pick(number: int) -> None:
        sums = near.astype(np.float64).cumsum()
        chosen.append(int(np.searchsorted(sums, draws[number + 1] * sums[-1], side="right")))
        np.minimum(near, pairwise_distances(gradients, gradients[chosen[-1:]])[:, 0] ** 2, out=near)

    theirs = extrapolated(pick)
    floor = machine.floor(bytes_read=4 * N * (C + D) * K)
    report("BADGE, 50,000 points, 1,000 picks", ours, theirs, floor, f", {grown[0]:.0f} MiB *")
    assert rows[:NAIVE_PICKS].tolist() == chosen[:NAIVE_PICKS]
    assert theirs >= 25 * ours
    assert grown[0] <= 400


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
    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features
        with torch.random.fork_rng():
            torch.manual_seed(2)
            self.head = nn.Linear(D, C)


def test_alfa_mix(points: Tensor, machine: Machine, report: Callable[..., None], benchmark) -> None:
    model = LastLayer(points / points.std())
    reader = UnlabeledClassification(Pixels(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), 32, COLORS))
    learner = Held(reader, model, batch=1024)
    labels = model.head(model.features[N:]).argmax(1)
    member = functional.one_hot(labels, C).bool()
    ctx = Context(
        K, np.arange(N, N + L), np.arange(N), (learner,), np.random.default_rng(0), lambda: member, lambda: None
    )
    strategy = AlfaMix()
    means = torch.stack([model.features[N:][labels == group].mean(0) for group in range(C) if (labels == group).any()])

    def found() -> Tensor:
        _, changes = strategy._closed_form(ctx, strategy._anchors(ctx))
        return torch.stack([each.unstable for each in changes])

    def usual(kind: torch.dtype = torch.float32) -> Tensor:
        """Gradients by autograd, then for every cap and class the mixture with as many copies of the anchor as points."""
        head, held = nn.Linear(D, C).to(kind), model.features[:N].to(kind)
        head.load_state_dict(model.head.state_dict())
        leaf = held.clone().requires_grad_()
        logits = head(leaf)
        classes = logits.argmax(1)
        (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, classes, reduction="sum"), leaf)
        rows = []
        for cap in strategy.caps:
            changed = torch.zeros(N, dtype=torch.bool)
            for mean in means.to(kind):
                anchors = mean.repeat(N, 1)
                gap = anchors - held
                length = cap / D**0.5 * gap.norm(dim=1, keepdim=True) / gradient.norm(dim=1, keepdim=True)
                alpha = length * gradient / gap
                with torch.no_grad():
                    changed |= head((1 - alpha) * held + alpha * anchors).argmax(1) != classes
            rows.append(changed)
        return torch.stack(rows)

    ours, theirs = seconds(found, 3), seconds(usual, 1)
    benchmark.pedantic(found)
    floor = machine.floor(bytes_read=4 * D * (N + L))
    exact = usual(torch.float64)
    share = exact.float().mean(1)
    shares = ", ".join(f"{each:.0%}" for each in share)
    report("ALFA-Mix, 50,000 points, five caps", ours, theirs, floor, f", candidates {shares}")
    assert 0 < share[-1] < 1, "what all or none are tells nothing"
    assert (found() != exact).float().mean() < 1e-4, "but for points that lie on a border to float32's last digits"
    assert theirs >= 5 * ours


def test_cdal(machine: Machine, report: Callable[..., None], benchmark) -> None:
    generator = torch.Generator().manual_seed(3)
    probs = (3 * torch.randn(N + K, 1, C, generator=generator, dtype=torch.float64)).softmax(2)
    given = Mixtures(probs, torch.ones(N + K, 1, dtype=torch.bool))
    labeled = K

    def picks() -> Tensor:
        return cdal_picks(given, labeled, K)[0]

    ours = seconds(picks, 3)
    rows = benchmark.pedantic(picks)
    flat = probs[:, 0].numpy()
    logs = np.log(flat)

    def divergence(center: int) -> np.ndarray:
        """The loop's form: both divergences of all images from one."""
        forth = (flat[labeled:] * (logs[labeled:] - logs[center])).sum(1)
        back = (flat[center] * (logs[center] - logs[labeled:])).sum(1)
        return (forth + back) / 2

    near = np.full(N, np.inf)
    for center in range(labeled):
        np.minimum(near, divergence(center), out=near)
    chosen = []

    def pick(_: int) -> None:
        chosen.append(int(near.argmax()) + labeled)
        np.minimum(near, divergence(chosen[-1]), out=near)

    first = seconds(lambda: [divergence(center) for center in range(NAIVE_PICKS)], 1) * labeled / NAIVE_PICKS
    theirs = first + seconds(lambda: [pick(number) for number in range(K)], 0)
    floor = machine.floor(bytes_read=8 * 2 * N * C * 2)
    report("CDAL, 50,000 images, 1,000 labeled, 1,000 picks, float64", ours, theirs, floor)
    assert rows.tolist() == chosen
    assert theirs >= 10 * ours


def test_core_gcn(points: Tensor, machine: Machine, report: Callable[..., None], benchmark) -> None:
    nodes, labeled = 20_000, 5_000
    features = functional.normalize(points[:nodes])
    settings = CoreGCN(epochs=10)

    def ours() -> NodeOutputs:
        graph = Graph.of(features)
        return train_graph_network(graph.propagate, graph.features, labeled, settings, np.random.default_rng(0))

    def dense() -> NodeOutputs:
        matrix = features @ features.T
        matrix.fill_diagonal_(0)
        matrix = matrix / matrix.sum(1, keepdim=True)
        matrix += torch.eye(nodes)
        rng = np.random.default_rng(0)
        return train_graph_network(lambda signal: matrix @ signal, features, labeled, settings, rng)

    with memory_growth(torch.device("cpu")) as grown:
        found = ours()
    fast = seconds(ours, 3) * 20  # of 200 epochs
    benchmark.pedantic(ours)
    slow = seconds(dense, 0) * 20
    floor = machine.floor(flops=200 * 6 * nodes * D * settings.hidden)
    report("CoreGCN's network, 20,000 nodes, 200 epochs from 10", fast, slow, floor, f", {grown[0]:.0f} MiB *")
    expected = dense()
    torch.testing.assert_close(found.confidence, expected.confidence, rtol=0, atol=1e-4)
    largest = float(expected.hidden.abs().max())
    torch.testing.assert_close(
        found.hidden, expected.hidden, rtol=0, atol=1e-3 * largest
    )  # Adam divides by small slopes
    assert grown[0] <= 2048
    assert slow > fast
