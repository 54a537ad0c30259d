"""CoreGCN and UncertainGCN: their graph by hand, and their network by its dense adjacency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from point_margins import GRAPH
from tiny_contexts import CANDIDATES, LABELED, MakeContext, normal
from torch import Tensor
from torch.nn import functional

from strategies import SelectionError
from strategies.graph import CoreGCN, Graph, GraphStrategy, UncertainGCN, train_graph_network
from tasks.training.seeding import seeded


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
    GRAPH.check()


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
