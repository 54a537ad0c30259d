"""TypiClust: typicality by hand and by scikit-learn, and its rule step by step."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sklearn.neighbors import NearestNeighbors
from tiny_contexts import CANDIDATES, LABELED, MakeContext, clustered, normal
from torch import Tensor

from strategies import typiclust as typiclust_module
from strategies.base import unit_embeddings
from strategies.kernels.clustering import k_means
from strategies.typiclust import TypiClust, typical_picks, typicality


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
    orders = [
        tuple(typical_picks(points, member, 2, 8, np.random.default_rng(seed), neighbors=2).tolist())
        for seed in range(99)
    ]
    # Cluster 2: 8 and 9 (rows 13 and 14) lie equally near to their two neighbors; cluster 1: 5 (row 8); 2: the other; 1: 4 or
    # 6 (7, 9); then all have two, and the largest comes first. 2: 7 or 10 (12, 15); 0: 1 or 2 (2, 3); then 1 and 2 again.
    assert set(orders) == {
        (one, 8, 27 - one, two, three, four, 16 - two, 27 - three)
        for one, two, three, four in product((13, 14), (7, 9), (12, 15), (2, 3))
    }
    pairs = {
        tuple(typical_picks(points, member, 2, 99, np.random.default_rng(seed)).tolist()[-2:]) for seed in range(20)
    }
    assert pairs == {(18, 19), (19, 18)}, "the two of a pair are equally typical"


@settings(deadline=None, max_examples=60)
@given(clustered())
def test_typical_picks_follow_their_rule(drawn: tuple[Tensor, Tensor, int, int]) -> None:
    points, member, labeled, picks = drawn
    found = typical_picks(points, member, labeled, picks, np.random.default_rng(0), neighbors=3).tolist()
    assert len(found) == min(picks, len(points) - labeled)
    taken = list(range(labeled))
    for row in found:
        left = [each for each in range(labeled, len(points)) if each not in taken]
        sizes, counts = member.bincount(), member[taken].bincount(minlength=int(member.max()) + 1)
        rank = {int(c): (bool(sizes[c] < 5), int(counts[c]), -int(sizes[c]), int(c)) for c in member[left].unique()}
        cluster = min(rank, key=rank.__getitem__)
        mine = (member == cluster).nonzero().squeeze(1)
        typical = dict(zip(mine.tolist(), typicality(points[mine], 3).tolist(), strict=True))
        assert row in typical
        assert typical[row] == max(typical[each] for each in left if each in typical)
        taken.append(row)


def test_typiclust_clusters_labeled_and_candidates_together(context: MakeContext) -> None:
    ctx = context(budget=4)
    points = unit_embeddings(ctx, np.concatenate([LABELED, CANDIDATES]))
    torch.testing.assert_close(points.norm(dim=1), torch.ones(35))
    member = k_means(points, 16, np.random.default_rng(0)).assignment
    rows = typical_picks(points, member, len(LABELED), 4, np.random.default_rng(0))
    assert TypiClust().select(ctx).ids.tolist() == CANDIDATES[rows.numpy() - len(LABELED)].tolist()
    few = TypiClust(most_clusters=3, smallest_cluster=1).select(context(budget=4))
    assert few.ids.tolist() != TypiClust().select(context(budget=4)).ids.tolist()
