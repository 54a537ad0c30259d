"""Category conditioned matching by hand and box by box, and medoids beside every other choice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_contexts import normal
from torch.nn import functional

from strategies.kernels import matching
from strategies.kernels.matching import Matching, farthest_first, medoids, nearest_medoid


def line(*angles: float) -> Matching:
    """Images of one category, whose features lie at these angles."""
    turned = torch.tensor(angles)
    return Matching(torch.stack([turned.cos(), turned.sin()], 1), torch.ones(len(angles), 1))


def random_images(count: int, seed: int, categories: int = 3) -> Matching:
    """Images with detections of some of the categories, or of none."""
    points = functional.normalize(normal(count, 4, seed=seed))
    scores = normal(count, categories, seed=seed + 1).clamp(min=0)
    return Matching(points, scores / scores.sum(1, keepdim=True).clamp(min=1e-300))


def by_boxes(points: np.ndarray, scores: np.ndarray, one: int, other: int) -> float:
    """One side of the similarity, as the paper writes it: the scores of boxes, each matched with the best of its category."""
    total = scores[one].sum()
    found = 0.0
    for category in range(scores.shape[1]):
        same = [points[one] @ points[other]] if scores[other, category] > 0 else []
        found += scores[one, category] * max(same, default=-1.0)
    return found / total if total else -1.0


def test_distances_by_hand() -> None:
    points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    images = Matching(points, torch.tensor([[0.75, 0.25], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    found = images.distances(images)
    # 0 and 1: .75 of 0 matches at a cosine of 1, .25 at -1, so .5; all of 1 matches: (.5 + 1) / 2.
    assert found[0, 1].item() == pytest.approx(0.25)
    # 0 and 2: .25 matches at 0, .75 at -1, so -.75; all of 2 matches at 0: -.375.
    assert found[0, 2].item() == pytest.approx(1.375)
    assert found[1, 2].item() == 2
    assert found[3].tolist() == [2, 2, 2, 2]
    assert found[0, 0].item() == found[1, 1].item() == 0
    torch.testing.assert_close(found, found.T)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_distances_are_those_of_boxes(count: int, seed: int) -> None:
    images = random_images(count, seed)
    points, shares = images.points.numpy(), images.shares.numpy()
    for (one, other), found in zip(
        itertools.product(range(count), repeat=2), images.distances(images).flatten().tolist(), strict=True
    ):
        sides = by_boxes(points, shares, one, other), by_boxes(points, shares, other, one)
        assert found == pytest.approx(1 - sum(sides) / 2, abs=1e-9)


def test_with_one_category_they_are_cosine_distances() -> None:
    images = line(0.0, 0.3, 2.0)
    torch.testing.assert_close(images.distances(images), 1 - images.points @ images.points.T, atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(0, 2**32 - 1), st.data())
def test_the_traversal_is_the_naive_one(count: int, seed: int, data: st.DataObject) -> None:
    images = random_images(count, seed)
    first, picks = data.draw(st.integers(0, count - 1)), data.draw(st.integers(1, count))
    distances, expected = images.distances(images), [first]
    while len(expected) < picks:
        nearest = distances[:, expected].amin(1)
        nearest[expected] = -1
        expected.append(int(nearest.argmax()))
    assert farthest_first(images, first, picks).tolist() == expected


def test_medoids_on_an_arc() -> None:
    images = line(0.0, 0.1, 0.25, 2.0, 2.1, 2.3)
    # From 0 and 2.3 the clusters are {0, .1, .25} and {2, 2.1, 2.3}, whose middles have the smallest sums.
    assert medoids(images, torch.tensor([0, 5]), 100).tolist() == [1, 4]
    assert medoids(images, torch.tensor([0, 5]), 0).tolist() == [0, 5]
    assert medoids(images, torch.tensor([2, 1, 0, 5, 3, 4]), 100).tolist() == [2, 1, 0, 5, 3, 4]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 25), st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_no_iteration_makes_the_clusters_wider(count: int, seed: int, alike: bool, data: st.DataObject) -> None:
    images = random_images(count, seed)
    if alike:
        images = images.subset(torch.zeros(count, dtype=torch.long))
    picks = data.draw(st.integers(1, count))
    distances = images.distances(images).fill_diagonal_(0)
    current = farthest_first(images, 0, picks)
    cost = float(distances[:, current].amin(1).sum())
    for _ in range(4):
        current = medoids(images, current, 1)
        assert len(set(current.tolist())) == picks
        new = float(distances[:, current].amin(1).sum())
        assert new <= cost + 1e-9
        cost = new
    final = medoids(images, farthest_first(images, 0, picks), 100)
    assigned = nearest_medoid(images, final)
    for cluster, medoid in enumerate(final.tolist()):
        members = (assigned == cluster).nonzero().squeeze(1)
        sums = distances[members][:, members].sum(1)
        assert sums.min() == pytest.approx(float(distances[medoid][members].sum()), abs=1e-9)


def test_images_go_to_medoids_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(50, 3)
    centers = torch.tensor([7, 30, 2, 11])
    whole = nearest_medoid(images, centers)
    assert whole[centers].tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(matching, "BLOCK", 7)
    assert nearest_medoid(images, centers).tolist() == whole.tolist()
