"""BADGE, CDAL, the graph networks, TypiClust and ProbCover: values by hand, and slower ways to the same picks."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn import functional

from strategies import Context, SelectionError, Strategy
from strategies import typiclust as typiclust_module
from strategies.badge import Badge
from strategies.base import unit_embeddings
from strategies.cdal import (
    CDAL,
    Absent,
    Mixtures,
    cdal_picks,
    concatenate,
    context_mixtures,
    contextual_space,
    pooled_cells,
)
from strategies.graph import CoreGCN, Graph, GraphStrategy, UncertainGCN, train_graph_network
from strategies.kernels.geometry import k_means, k_means_plus_plus
from strategies.probcover import ProbCover, covering_picks, pure_radius
from strategies.typiclust import TypiClust, typical_picks, typicality
from tasks.base import Posteriors
from tasks.training.gradients import EXACT_NUMBERS, SKETCH_NUMBERS, gradient_embeddings
from tasks.training.learner import Learner
from tasks.training.seeding import seeded

LABELED, CANDIDATES = np.arange(12), np.arange(15, 60, 2)
ALL = (Badge, CDAL, CoreGCN, UncertainGCN, TypiClust, ProbCover)
MakeContext = Callable[..., Context]


@pytest.fixture(scope="module")
def context(trained: Callable[..., Learner]) -> MakeContext:
    """A context on a tiny task."""

    def of(kind: str = "classification", budget: int = 5, learner: Learner | None = None) -> Context:
        def groups() -> Tensor:
            return functional.one_hot(torch.arange(len(LABELED)) % 3, 4).bool()

        learner = learner or trained(kind, Badge())
        return Context(budget, LABELED, CANDIDATES, (learner,), np.random.default_rng(0), groups)

    return of


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filled(learner: Learner, value: float) -> Learner:
    """The same learner with all its weights set to one value."""
    model = copy.deepcopy(learner.model)
    with torch.no_grad():
        for each in model.parameters():
            each.fill_(value)
    return replace(learner, model=model)


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("task_kind", ["classification", "detection", "pose"])
def test_where_all_images_look_alike_picks_are_distinct(
    strategy: type[Strategy], task_kind: str, context: MakeContext
) -> None:
    ctx = context(task_kind, budget=20)  # as many as the graph strategies' smoke version keeps
    found = strategy.smoke().select(context(task_kind, 20, filled(ctx.learner, 0.0)))
    assert len(set(found.ids.tolist())) == 20
    assert set(found.ids.tolist()) <= set(CANDIDATES.tolist())
    assert found.scores is None or not torch.isnan(found.scores).any()


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("task_kind", ["classification", "pose"])
def test_a_model_that_is_not_finite_is_refused(strategy: type[Strategy], task_kind: str, context: MakeContext) -> None:
    ctx = context(task_kind)
    with pytest.raises(SelectionError, match="are not finite"):
        strategy.smoke().select(context(task_kind, 5, filled(ctx.learner, torch.nan)))


# ---- BADGE


def formed_picks(gradients: Tensor, picks: int, rng: np.random.Generator) -> list[int]:
    """k-means++ as Arthur & Vassilvitskii write it, on gradients that are formed, with one uniform number a pick."""
    chosen: list[int] = []
    for draw in rng.random(picks):
        far = [min((g - gradients[each]).square().sum().item() for each in chosen) if chosen else 1 for g in gradients]
        sums = np.cumsum([0.0 if row in chosen else each for row, each in enumerate(far)])
        chosen.append(int(np.searchsorted(sums, draw * sums[-1], side="right")))
    return chosen


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("linear", [True, False])
def test_badge_factored_draws_what_formed_gradients_draw(seed: int, linear: bool) -> None:
    left = normal(60, 7, seed=seed) if linear else torch.ones(60, 1, dtype=torch.float64)
    right = normal(60, 11, seed=seed + 100)
    gradients = torch.einsum("na,nb->nab", left, right).flatten(1)
    found = k_means_plus_plus(left.float(), right.float(), 25, np.random.default_rng(seed))
    assert found.tolist() == formed_picks(gradients, 25, np.random.default_rng(seed))


def gradients_by_autograd(learner: Learner) -> Tensor:
    """Each candidate's gradient in the weights of the head's layers, from one backward pass per image."""
    weights = [value for name, value in learner.model.head.named_parameters() if name.endswith("weight")]
    rows = []
    for image in CANDIDATES:
        ((_, outputs),) = learner.batches(np.array([image]))
        raw = learner.model.head(*outputs.features)
        loss = learner.task.losses(raw, learner.task.pseudo_targets(outputs.raw)).sum()
        rows.append(
            torch.cat(
                [
                    each.flatten()
                    for each in torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
                ]
            )
        )
    return torch.stack(rows)


def test_badge_picks_by_exact_gradients_where_the_head_is_small(context: MakeContext) -> None:
    for kind in ("classification", "pose"):
        ctx = context(kind)
        gradients = gradients_by_autograd(ctx.learner).double()
        rows = formed_picks(gradients, 5, np.random.default_rng(0))
        assert Badge().select(ctx).ids.tolist() == CANDIDATES[rows].tolist(), kind


def test_in_classification_a_gradient_is_the_residual_times_the_features(context: MakeContext) -> None:
    learner = context().learner
    ((_, outputs),) = learner.batches(CANDIDATES)
    left, right = learner.gradient_embeddings(CANDIDATES)
    predicted = functional.one_hot(outputs.raw.argmax(1), outputs.raw.shape[1])
    torch.testing.assert_close(left, outputs.raw.softmax(1) - predicted)
    assert torch.equal(right, outputs.features[0])
    formed = torch.einsum("na,nb->nab", left, right).flatten(1)
    torch.testing.assert_close(formed, gradients_by_autograd(learner), rtol=1e-4, atol=1e-7)


def test_in_pose_a_gradient_is_exact(context: MakeContext) -> None:
    learner = context("pose").learner
    exact = gradients_by_autograd(learner)
    left, right = learner.gradient_embeddings(CANDIDATES)
    assert exact.shape[1] <= EXACT_NUMBERS
    assert left.tolist() == [[1.0]] * len(CANDIDATES)
    assert exact.norm(dim=1).min() > 0
    torch.testing.assert_close(right, exact, rtol=1e-3, atol=1e-5 * exact.abs().max().item())


def test_in_detection_a_sketch_keeps_inner_products(context: MakeContext) -> None:
    learner = context("detection").learner
    exact = gradients_by_autograd(learner).double()
    left, right = learner.gradient_embeddings(CANDIDATES)
    assert exact.shape[1] > EXACT_NUMBERS
    assert right.shape[1] == SKETCH_NUMBERS
    assert left.tolist() == [[1.0]] * len(CANDIDATES)
    lengths = exact.norm(dim=1)
    errors = (right.double() @ right.double().T - exact @ exact.T) / torch.outer(lengths, lengths)
    assert errors.square().mean().sqrt() <= math.sqrt(2 / SKETCH_NUMBERS)
    assert errors.abs().max() < 5 * math.sqrt(2 / SKETCH_NUMBERS)
    assert errors.abs().max() > 1e-4, "a sketch, not the gradient"


def test_an_image_has_its_gradient_whatever_the_rest_of_its_batch(context: MakeContext) -> None:
    for kind in ("classification", "detection", "pose"):
        learner = context(kind).learner
        ((_, outputs),) = learner.batches(CANDIDATES)
        together = gradient_embeddings(learner.task, learner.model.head, outputs)
        alone = replace(learner, batch=1).gradient_embeddings(CANDIDATES[3:4])
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], other[3], rtol=1e-3, atol=1e-4 * other.abs().max().item())


# ---- CDAL


def posteriors(rows: list[list[list[float]]], weight: list[list[float]], about: list[list[int]]) -> Posteriors:
    return Posteriors(torch.tensor(rows).log(), torch.tensor(weight), torch.tensor(about))


def symmetric_kl(one: Tensor, other: Tensor) -> float:
    return float(((one * (one / other).log()).sum() + (other * (other / one).log()).sum()) / 2)


def diversity(given: Mixtures, one: int, other: int, absent: Absent) -> float:
    """Equation 3, term by term."""
    total = 0.0
    for each in range(given.present.shape[1]):
        shown = [bool(given.present[image, each]) for image in (one, other)]
        uniform = torch.full_like(given.probs[0, 0], 1 / given.probs.shape[2])
        pair = [
            given.probs[image, each] if known else uniform for image, known in zip((one, other), shown, strict=True)
        ]
        if all(shown) or (any(shown) and absent == "uniform"):
            total += symmetric_kl(*pair)
    return total


def plain_loop(given: Mixtures, labeled: int, picks: int, absent: Absent) -> tuple[list[int], list[float]]:
    """Greedy k-center on that, with every distance computed when it is asked for."""
    known, rows, distances = list(range(labeled)), [], []
    for _ in range(picks):
        nearest = [
            -1.0 if row in rows else min((diversity(given, row, each, absent) for each in known), default=math.inf)
            for row in range(labeled, len(given.probs))
        ]
        rows.append(labeled + int(np.argmax(nearest)))
        distances.append(max(nearest))
        known.append(rows[-1])
    return rows, distances


def random_mixtures(images: int, contexts: int, categories: int, seed: int = 0) -> Mixtures:
    probs = (2 * normal(images, contexts, categories, seed=seed)).softmax(2)
    return Mixtures(probs, normal(images, contexts, seed=seed + 1) > -0.3)


def test_a_mixture_by_hand() -> None:
    sure, fair, skewed = [1.0, 0.0], [0.5, 0.5], [0.25, 0.75]
    unread = [math.nan, math.nan]
    found = context_mixtures(
        posteriors(
            [[fair, sure, skewed, unread], [skewed, fair, sure, fair]],
            [[0.25, 0.25, 0.5, 0.0], [0.0, 0.5, 0.5, 0.0]],
            [[2, 2, 0, 1], [2, 2, 1, 2]],
        )
    )
    assert found.present.tolist() == [[True, False, True], [False, True, True]]
    heavy, light = 0.25 * (math.log(2) + 1e-6), 0.25 * 1e-6  # the sure row has no entropy, and hardly counts
    mixed = (0.5 * heavy + light) / (heavy + light)
    torch.testing.assert_close(found.probs[0, 0], torch.tensor(skewed))
    torch.testing.assert_close(found.probs[0, 2], torch.tensor([mixed, 1 - mixed]))
    torch.testing.assert_close(found.probs[1, 1:], torch.tensor([sure, fair]))


def test_a_row_counts_by_its_weight_times_its_entropy() -> None:
    one, other = [0.5, 0.5, 0.0], [0.0, 0.1, 0.9]
    found = context_mixtures(posteriors([[one, other]], [[0.2, 0.8]], [[0, 0]])).probs[0, 0]
    entropies = [math.log(2), -0.1 * math.log(0.1) - 0.9 * math.log(0.9)]
    amounts = np.array([0.2, 0.8]) * entropies / np.dot([0.2, 0.8], entropies)
    assert found.tolist() == pytest.approx((amounts @ np.array([one, other])).tolist(), abs=1e-5)


def test_of_a_single_row_the_mixture_is_the_softmax_itself_and_classes_do_not_matter(context: MakeContext) -> None:
    ctx = context(budget=8)
    ids = np.concatenate([LABELED, CANDIDATES])
    ((_, outputs),) = ctx.learner.batches(ids)
    softmax = outputs.raw.double().softmax(1)
    (given,) = (context_mixtures(each) for each in ctx.learner.posteriors(ids))
    assert given.present.tolist() == [[True]] * len(ids)
    torch.testing.assert_close(given.probs[:, 0].double(), softmax)
    space = contextual_space(given)
    far = space.subset(slice(0, 1))
    found = space.offsets + far.offsets - space.factor * (space.left @ far.right[0])
    assert found.tolist() == pytest.approx([symmetric_kl(each, softmax[0]) for each in softmax], abs=1e-5)
    for absent in ("uniform", "ignored"):
        rows, distances = plain_loop(Mixtures(softmax.unsqueeze(1), given.present), len(LABELED), 8, absent)
        selected = CDAL(absent=absent).select(ctx)
        assert selected.ids.tolist() == ids[rows].tolist()
        assert selected.scores.tolist() == pytest.approx(distances, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("absent", ["uniform", "ignored"])
@pytest.mark.parametrize("seed", range(4))
def test_cdal_picks_what_the_plain_loop_over_contexts_picks(absent: Absent, seed: int) -> None:
    given = random_mixtures(30, 4, 6, seed)
    rows, distances = plain_loop(given, 5, 10, absent)
    found = cdal_picks(Mixtures(given.probs.float(), given.present), 5, 10, absent)
    assert found[1].tolist() == pytest.approx(distances, rel=1e-4, abs=1e-5)
    if absent == "uniform":  # else many distances are 0 up to rounding, and any of those is farthest
        assert found[0].tolist() == rows


def test_images_that_share_no_context_are_equal_in_the_paper_and_far_apart_here() -> None:
    probs = torch.tensor([[[0.9, 0.1], [0.5, 0.5]], [[0.5, 0.5], [0.2, 0.8]]], dtype=torch.float64)
    given = Mixtures(probs, torch.tensor([[True, False], [False, True]]))
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    apart = symmetric_kl(probs[0, 0], half) + symmetric_kl(probs[1, 1], half)
    for absent, expected in (("ignored", 0.0), ("uniform", apart)):
        _, distances = cdal_picks(given, 1, 1, absent)
        assert distances.item() == pytest.approx(expected)


def test_cdal_without_anything_labeled_begins_with_the_first_and_takes_all() -> None:
    rows, distances = cdal_picks(random_mixtures(6, 2, 3), 0, 9)
    assert (rows[0].item(), distances[0].item()) == (0, math.inf)
    assert sorted(rows.tolist()) == list(range(6))


def test_probabilities_of_zero_keep_distances_finite() -> None:
    probs = torch.eye(3).unsqueeze(1)
    _, distances = cdal_picks(Mixtures(probs, torch.ones(3, 1, dtype=torch.bool)), 1, 2)
    expected = -math.log(1e-12)  # each way once, halved
    assert distances.tolist() == pytest.approx([expected] * 2, rel=1e-4)


def test_cells_are_summed_over_square_blocks() -> None:
    cells = torch.arange(16.0)[None, None]
    assert pooled_cells(cells, (4, 4), 4).tolist() == [
        [[0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]]
    ]
    assert pooled_cells(cells, (4, 4), 15).shape[2] == 9, "blocks of 2 and of 1 cells"
    assert pooled_cells(cells, (4, 4), 15).sum() == cells.sum()
    assert torch.equal(pooled_cells(cells, (4, 4), 16), cells)
    wide = pooled_cells(cells, (2, 8), 4)
    assert wide.tolist() == [[[0 + 1 + 2 + 3, 4 + 5 + 6 + 7, 8 + 9 + 10 + 11, 12 + 13 + 14 + 15]]], (
        "twice as wide as high"
    )


@pytest.mark.parametrize(
    ("about", "grid", "kept"),
    [([[0, 1], [0, 1]], (16, 16), 64), ([[0, 1], [0, 1]], None, 256), ([[3], [1]], None, 256)],
    ids=["cells of a map", "classes", "one row"],
)
def test_only_cells_of_maps_are_pooled(about: list[list[int]], grid: tuple[int, int] | None, kept: int) -> None:
    rows = len(about[0])
    log_probs = torch.full((2, rows, 256), -math.log(256))
    found = context_mixtures(Posteriors(log_probs, torch.full((2, rows), 1 / rows), torch.tensor(about), grid))
    assert found.probs.shape[2] == kept
    torch.testing.assert_close(found.probs[found.present], torch.full((int(found.present.sum()), kept), 1 / kept))


def test_contexts_that_a_batch_does_not_know_are_absent_from_it() -> None:
    found = concatenate([random_mixtures(2, 1, 3), random_mixtures(3, 4, 3)])
    assert found.probs.shape == (5, 4, 3)
    assert not found.present[:2, 1:].any()


def test_a_posterior_that_is_not_a_number_is_refused_where_it_counts() -> None:
    bad = [[0.5, 0.5], [math.nan, 0.5]]
    assert context_mixtures(posteriors([bad], [[1.0, 0.0]], [[0, 1]])).present.tolist() == [[True]]
    for weight in ([[0.5, 0.5]], [[0.5, math.nan]]):
        with pytest.raises(SelectionError, match="are not finite"):
            context_mixtures(posteriors([bad], weight, [[0, 1]]))


# ---- CoreGCN and UncertainGCN


def dense(features: Tensor) -> Tensor:
    """The adjacency matrix as the paper writes it: D^-1 (S - I) + I."""
    identity = torch.eye(len(features), dtype=features.dtype)
    others = features @ features.T - identity
    return torch.diag(1 / others.sum(1)) @ others + identity


def unit(nodes: int, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return functional.normalize(normal(nodes, size).relu(), dim=1).to(dtype)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_graph_spreads_like_its_dense_adjacency(dtype: torch.dtype, error: float) -> None:
    features, signal = unit(50, 8, dtype), normal(50, 3).to(dtype)
    found = Graph.of(features).propagate(signal)
    torch.testing.assert_close(found.double(), dense(features.double()) @ signal.double(), rtol=error, atol=error)


def test_a_graph_by_hand() -> None:
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    expected = [[1, 1, 0], [0.6 / 1.4, 1, 0.8 / 1.4], [0, 1, 1]]
    assert np.array(Graph.of(features).propagate(torch.eye(3)).tolist()) == pytest.approx(np.array(expected))


def test_a_node_that_is_like_nobody_keeps_to_itself() -> None:
    apart, zero, against = torch.tensor([[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]])
    features = torch.cat([torch.tensor([[1.0, 0, 0]]).repeat(4, 1), torch.stack([apart, zero, against])])
    found = Graph.of(features).propagate(torch.eye(7))
    assert torch.equal(found[4:], torch.eye(7)[4:])
    torch.testing.assert_close(found[0], torch.tensor([1, 0.5, 0.5, 0.5, 0, 0, -0.5]))
    assert torch.equal(Graph.of(features[:1]).propagate(torch.ones(1, 1)), torch.ones(1, 1)), "a graph of one node"


def trained_densely(features: Tensor, labeled: int, chosen: GraphStrategy, seed: int) -> tuple[Tensor, Tensor]:
    """The paper's training, written out: the whole adjacency, its cross-entropy, and Adam."""
    rng, adjacency = np.random.default_rng(seed), dense(features)
    with seeded(rng):
        layers = torch.nn.Linear(features.shape[1], chosen.hidden), torch.nn.Linear(chosen.hidden, 1, bias=False)
    weights = [layers[0].weight, layers[0].bias, layers[1].weight, torch.zeros(1)]
    one, shift, two, last = (each.detach().to(features).requires_grad_() for each in weights)
    masks = torch.Generator().manual_seed(int(rng.integers(2**63)))
    decay, rate = chosen.weight_decay, chosen.learning_rate
    adam = torch.optim.Adam([one, shift, two, last], lr=rate, weight_decay=decay)

    def outputs(dropped: Tensor | float) -> tuple[Tensor, Tensor]:
        hidden = (adjacency @ (features @ one.T) + shift).relu()
        return torch.sigmoid(adjacency @ (hidden * dropped) @ two.T + last).squeeze(1), hidden

    for _ in range(chosen.epochs):
        mask = torch.rand(len(features), chosen.hidden, generator=masks) >= chosen.hidden_dropout
        confidence, _ = outputs(mask / (1 - chosen.hidden_dropout))
        loss = -confidence[:labeled].log().mean() - chosen.unlabeled_weight * (1 - confidence[labeled:]).log().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        return outputs(1.0)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-7), (torch.float32, 2e-4)])
def test_the_graph_network_is_that_of_the_dense_adjacency(dtype: torch.dtype, error: float) -> None:
    features, chosen = unit(70, 12), CoreGCN(epochs=60, learning_rate=1e-2, hidden=16)
    given = features.to(dtype)
    graph = Graph.of(given)
    found = train_graph_network(graph.propagate, given, 20, chosen, np.random.default_rng(3))
    confidence, hidden = trained_densely(features, 20, chosen, 3)
    torch.testing.assert_close(found.confidence.double(), confidence, rtol=error, atol=error)
    torch.testing.assert_close(found.hidden.double(), hidden, rtol=error, atol=error)
    assert confidence.std() > 1e-2


def test_the_graph_network_tells_labeled_from_unlabeled() -> None:
    features = functional.normalize(torch.tensor([[1.0, 0.1]] * 20 + [[0.1, 1.0]] * 20), dim=1)
    graph = Graph.of(features)
    found = train_graph_network(graph.propagate, features, 20, CoreGCN(learning_rate=0.02), np.random.default_rng(0))
    assert found.confidence[:20].min() > found.confidence[20:].max() + 0.3


def test_everything_labeled_is_no_fault_of_the_graph_network() -> None:
    features = unit(9, 4, torch.float32)
    spread = Graph.of(features).propagate
    found = train_graph_network(spread, features, 9, CoreGCN(epochs=3), np.random.default_rng(0))
    assert torch.isfinite(found.confidence).all()


def test_uncertain_gcn_picks_the_confidence_nearest_to_its_margin(context: MakeContext) -> None:
    strategy = UncertainGCN(epochs=20, margin=0.45)
    outputs = strategy.node_outputs(context())
    near = (outputs.confidence[len(LABELED) :] - 0.45).abs()
    found = strategy.select(context())
    assert found.ids.tolist() == CANDIDATES[near.argsort(stable=True)[:5].numpy()].tolist()
    torch.testing.assert_close(found.scores, -near.sort().values[:5])


def test_core_gcn_covers_the_hidden_layer(context: MakeContext) -> None:
    strategy = CoreGCN(epochs=20)
    hidden = strategy.node_outputs(context()).hidden.double().numpy()
    known, found = hidden[: len(LABELED)], strategy.select(context())
    for image, distance in zip(found.ids, found.scores.tolist(), strict=True):
        nearest = np.linalg.norm(hidden[len(LABELED) :, None] - known, axis=2).min(1)
        place = CANDIDATES.tolist().index(image)
        assert nearest[place] == pytest.approx(nearest.max(), rel=1e-3)
        assert distance == pytest.approx(nearest[place], rel=1e-3)
        known = np.vstack([known, hidden[len(LABELED) + place]])


@pytest.mark.parametrize(("most", "left"), [(23, 23), (100, 23), (7, 7), (2, 5)])
def test_of_more_candidates_a_random_subset_is_kept_that_holds_the_budget(
    most: int, left: int, context: MakeContext
) -> None:
    ctx = context(budget=5)
    found = ctx.narrowed(most).candidates
    assert len(set(found.tolist())) == left
    assert found.tolist() == sorted(set(found.tolist()) & set(CANDIDATES.tolist()))
    if left < len(CANDIDATES):
        other = replace(context(budget=5), rng=np.random.default_rng(1))
        assert other.narrowed(most).candidates.tolist() != found.tolist()


def test_a_graph_network_needs_something_labeled(context: MakeContext) -> None:
    with pytest.raises(SelectionError, match="core-gcn learns to tell labeled images"):
        CoreGCN.smoke().select(replace(context(), labeled=LABELED[:0]))


# ---- TypiClust


def test_typicality_by_hand() -> None:
    found = typicality(torch.tensor([[0.0], [1.0], [3.0], [10.0]]), 2)
    assert found.tolist() == pytest.approx([1 / 2, 1 / 1.5, 1 / 2.5, 1 / 8])
    assert typicality(torch.tensor([[4.0]]), 20).tolist() == [0.0]
    assert typicality(torch.tensor([[4.0], [4.0]]), 20).tolist() == [math.inf] * 2


@pytest.mark.parametrize("points", [3, 21, 200])
def test_typicality_is_that_of_scikit_learns_neighbors(points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typiclust_module, "CHUNK", 64)  # an odd last chunk
    cloud = normal(points, 5)
    count = min(20, points - 1)
    distances, _ = NearestNeighbors(n_neighbors=count).fit(cloud.numpy()).kneighbors()
    torch.testing.assert_close(typicality(cloud, 20), torch.from_numpy(1 / distances.mean(1)))


def test_in_a_large_cluster_neighbors_are_sought_among_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typiclust_module, "NEIGHBOR_POINTS", 30)
    cloud = normal(70, 3)
    others = cloud[::3]  # 24 of 70
    far = torch.cdist(cloud, others)
    far[torch.arange(0, 70, 3), torch.arange(24)] = torch.inf
    expected = 1 / far.sort(1).values[:, :20].mean(1)
    torch.testing.assert_close(typicality(cloud, 20), expected)


def test_the_cluster_that_is_labeled_least_comes_first_then_the_largest() -> None:
    # One on a line per cluster: 0 (6 points, 2 labeled), 1 (5, none), 2 (7, none), 3 (2 points, none): too small.
    member = torch.tensor([0] * 2 + [0] * 4 + [1] * 5 + [2] * 7 + [3] * 2)
    offsets = [0.0, 9, 1, 2, 3, 8, 0, 4, 5, 6, 11, 0, 7, 8, 9, 10, 20, 30, 0, 1]
    points = torch.stack([torch.tensor(offsets), 100.0 * member], 1)
    rows = typical_picks(points, member, 2, 8, neighbors=2)
    # Cluster 2: 8 (row 13) and 9 lie equally near to their two neighbors, and the first is picked; cluster 1: 5 (row 8);
    # 2: 9; 1: 4, as typical as 6; then all have two, and the largest comes first. 2: 7; 0: 1; 1: 6; then 2 again: 10.
    assert rows.tolist() == [13, 8, 14, 7, 12, 2, 9, 15]
    assert typical_picks(points, member, 2, 99, neighbors=2).tolist()[-2:] == [18, 19]


@st.composite
def clustered(draw: st.DrawFn) -> tuple[Tensor, Tensor, int, int]:
    """Points with whole coordinates, many of them equal, their clusters, how many are labeled, and a budget."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, spread = draw(st.integers(1, 40)), draw(st.sampled_from([0, 2, 50]))
    points = rng.integers(-spread, spread, (count, 2), endpoint=True).astype(np.float64)
    member = rng.integers(0, draw(st.integers(1, 8)), count)
    return torch.tensor(points), torch.tensor(member), draw(st.integers(0, count - 1)), draw(st.integers(1, 45))


@settings(deadline=None, max_examples=60)
@given(clustered())
def test_typical_picks_follow_their_rule(drawn: tuple[Tensor, Tensor, int, int]) -> None:
    points, member, labeled, picks = drawn
    found = typical_picks(points, member, labeled, picks, 3).tolist()
    assert len(found) == min(picks, len(points) - labeled)
    taken = list(range(labeled))
    for row in found:
        left = [each for each in range(labeled, len(points)) if each not in taken]
        sizes, counts = member.bincount(), member[taken].bincount(minlength=int(member.max()) + 1)
        rank = {int(c): (bool(sizes[c] < 5), int(counts[c]), -int(sizes[c]), int(c)) for c in member[left].unique()}
        cluster = min(rank, key=rank.__getitem__)
        mine = (member == cluster).nonzero().squeeze(1)
        typical = dict(zip(mine.tolist(), typicality(points[mine], 3).tolist(), strict=True))
        assert row == max((each for each in left if each in typical), key=lambda each: (typical[each], -each))
        taken.append(row)


def test_typiclust_clusters_labeled_and_candidates_together(context: MakeContext) -> None:
    ctx = context(budget=4)
    points = unit_embeddings(ctx, np.concatenate([LABELED, CANDIDATES]))
    torch.testing.assert_close(points.norm(dim=1), torch.ones(35))
    member = k_means(points, 16, np.random.default_rng(0)).assignment
    rows = typical_picks(points, member, len(LABELED), 4)
    assert TypiClust().select(ctx).ids.tolist() == CANDIDATES[rows.numpy() - len(LABELED)].tolist()
    few = TypiClust(most_clusters=3, smallest_cluster=1).select(context(budget=4))
    assert few.ids.tolist() != TypiClust().select(context(budget=4)).ids.tolist()


# ---- ProbCover


def test_the_pure_radius_by_hand() -> None:
    points = torch.tensor([[0.0], [1.0], [4.0], [9.0]])
    member = torch.tensor([0, 0, 1, 1])
    # To the nearest of the other cluster: 4, 3, 3, 8. All balls are pure below 3, half of them below 4.
    assert pure_radius(points, member, 1.0) == pytest.approx(3)
    assert pure_radius(points, member, 0.5) == pytest.approx(4)
    assert pure_radius(points, torch.zeros(4, dtype=torch.long), 0.95) == math.inf


@settings(deadline=None, max_examples=60)
@given(clustered(), st.floats(0.05, 1))
def test_the_pure_radius_is_the_largest(drawn: tuple[Tensor, Tensor, int, int], purity: float) -> None:
    points, member, _, _ = drawn
    radius = pure_radius(points, member, purity)
    distances = torch.cdist(points, points)

    def share(of: float) -> float:
        foreign = (distances < of) & (member[:, None] != member)
        return 1 - foreign.any(1).double().mean().item()

    assert share(radius - 1e-6) >= purity - 1e-9
    if math.isfinite(radius):
        assert share(radius + 1e-6) < purity


def covered_by_hand(points: Tensor, labeled: int, radius: float, picks: int) -> tuple[list[int], list[int]]:
    """Algorithm 1 on the graph of all points, until nobody covers anything more."""
    edges = (torch.cdist(points, points) < radius) | torch.eye(len(points), dtype=torch.bool)
    edges[:, edges[:labeled].any(0)] = False
    rows, gains = [], []
    while len(rows) < picks:
        degrees = edges.sum(1)
        degrees[:labeled] = -1
        if degrees.max() <= 0:
            break
        rows.append(int(degrees.argmax()))
        gains.append(int(degrees.max()))
        edges[:, edges[rows[-1]].clone()] = False
    return rows, gains


@settings(deadline=None, max_examples=60)
@given(clustered(), st.sampled_from([0.0, 0.5, 1.5, 3.5, 20.5, math.inf]))
def test_probcover_covers_as_its_algorithm_says(drawn: tuple[Tensor, Tensor, int, int], radius: float) -> None:
    points, _, labeled, picks = drawn
    rows, covered = covering_picks(points, labeled, radius, picks, np.random.default_rng(0))
    expected, gains = covered_by_hand(points, labeled, radius, picks)
    assert rows[: len(expected)].tolist() == expected
    assert covered.tolist() == gains + [0] * (len(rows) - len(gains))
    assert len(set(rows.tolist())) == len(rows) == min(picks, len(points) - labeled)
    assert rows.min() >= labeled


def test_probcover_on_a_line() -> None:
    points = torch.tensor([[0.0], [0.5], [1.0], [2.0], [3.0], [4.0], [9.0], [10.2]])
    rows, covered = covering_picks(points, 1, 1.1, 4, np.random.default_rng(0))
    # What is labeled, 0, covers up to 1; then 3 covers 2, 3 and 4; then 9 and 10.2 cover themselves; then none is bare.
    assert rows[:3].tolist() == [4, 6, 7]
    assert covered.tolist() == [3, 1, 1, 0]
    others = {int(covering_picks(points, 1, 1.1, 4, np.random.default_rng(each))[0][3]) for each in range(40)}
    assert others == {1, 2, 3, 5}


def test_probcover_finds_its_radius_by_as_many_clusters_as_groups(context: MakeContext) -> None:
    ctx, rng = context(), np.random.default_rng(0)
    candidates = rng.permutation(CANDIDATES)  # of candidates that cover equally many, a random one
    points = unit_embeddings(ctx, np.concatenate([LABELED, candidates]))
    radius = pure_radius(points, k_means(points, 4, rng).assignment, 0.95)
    rows, covered = covering_picks(points, len(LABELED), radius, 5, rng)
    found = ProbCover().select(ctx)
    assert found.ids.tolist() == candidates[rows.numpy() - len(LABELED)].tolist()
    assert found.scores.tolist() == covered.tolist()
    assert 0 < radius < 2


def test_probcover_covers_a_subset_of_many(context: MakeContext) -> None:
    strategy = ProbCover(most_candidates=6)
    kept = context().narrowed(6).candidates
    assert set(strategy.select(context()).ids.tolist()) <= set(kept.tolist())
    assert len(set(strategy.select(context(budget=20)).ids.tolist())) == 20
