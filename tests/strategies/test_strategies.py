"""The strategies' arithmetic, on numbers worked out by hand or by a slower way."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from strategies import Context
from strategies.base import highest
from strategies.core_set import CoreSet
from strategies.entropy import Entropy
from strategies.kernels.geometry import BLOCK, greedy_k_center
from strategies.kernels.information import entropy
from strategies.learning_loss import LearningLoss, LearningLossMSE
from strategies.random import Random
from tasks.base import Posteriors
from tasks.training.learner import Learner

LABELED, CANDIDATES = np.arange(12), np.arange(15, 60, 2)


@pytest.fixture(scope="module")
def context(trained: Callable[..., Learner]) -> Callable[..., Context]:
    """A context on the tiny classification task."""
    learners = {each: trained("classification", each()) for each in (LearningLoss, LearningLossMSE)}

    def of(budget: int = 5, seed: int = 0, needs: type = LearningLoss, candidates: np.ndarray = CANDIDATES) -> Context:
        def withheld(*_: object) -> Tensor:
            raise AssertionError

        rng = np.random.default_rng(seed)
        return Context(budget, LABELED, candidates, (learners[needs],), rng, withheld)

    return of


def distributions(*rows: list[float]) -> Tensor:
    """One image whose rows are these distributions, as log-probabilities."""
    return torch.tensor([rows]).log()


def test_entropy_of_a_fair_coin_is_ln_2() -> None:
    found = entropy(distributions([0.5, 0.5], [1.0, 0.0], [0.25, 0.75]))
    quarter = 2 * math.log(2) - 0.75 * math.log(3)
    torch.testing.assert_close(found, torch.tensor([[math.log(2), 0.0, quarter]]))


@given(st.integers(2, 50))
def test_a_uniform_distribution_has_the_highest_entropy(categories: int) -> None:
    uniform = torch.full((1, 1, categories), -math.log(categories))
    assert entropy(uniform).item() == pytest.approx(math.log(categories), rel=1e-5)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_entropy_lies_between_zero_and_ln_k(logits: list[float], seed: int) -> None:
    spread = 30 * torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(seed))
    found = entropy((torch.tensor(logits) + spread).log_softmax(2))
    assert (found >= 0).all()
    assert (found <= math.log(3) + 1e-5).all()


def test_rows_count_by_their_weight_and_a_row_of_none_is_never_read() -> None:
    log_probs = torch.zeros(2, 3, 1)
    weight = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
    found = Posteriors(log_probs, weight, torch.zeros(2, 3, dtype=torch.long))
    rows = torch.tensor([[4.0, 8.0, torch.nan], [torch.inf, torch.nan, 3.0]])
    assert found.pooled(rows).tolist() == [7.0, 3.0]


def test_the_entropy_strategy_picks_the_highest_weighted_entropies(context: Callable[..., Context]) -> None:
    ctx = context()
    ((_, outputs),) = ctx.learner.batches(CANDIDATES)
    by_hand = -(outputs.raw.softmax(1) * outputs.raw.log_softmax(1)).sum(1)
    values, order = by_hand.topk(5)
    found = Entropy().select(ctx)
    assert found.ids.tolist() == CANDIDATES[order.numpy()].tolist()
    torch.testing.assert_close(found.scores, values)


def test_entropy_goes_through_the_candidates_batch_by_batch(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Entropy().select(context())
    monkeypatch.setitem(context().learner.__dict__, "batch", 4)  # 23 candidates: an odd last batch
    parts = Entropy().select(context())
    assert parts.ids.tolist() == whole.ids.tolist()
    torch.testing.assert_close(parts.scores, whole.scores)


def test_k_center_on_a_line() -> None:
    points = torch.tensor([[1.0], [9.0], [4.0], [6.5]])
    rows, distances = greedy_k_center(points, torch.tensor([[0.0]]), 3)
    # 9 is farthest from 0; then 4 (4 from 0, 5 from 9) beats 6.5 (2.5 from 9); then 6.5 (2.5) beats 1 (1).
    assert rows.tolist() == [1, 2, 3]
    assert distances.tolist() == pytest.approx([9.0, 4.0, 2.5])


def brute_force(points: np.ndarray, centers: np.ndarray, picks: int) -> tuple[list[int], list[float]]:
    """The same by the definition, in float64, with every distance computed anew."""
    known, rows, distances = [*centers], [], []
    for _ in range(min(picks, len(points))):
        nearest = [
            -1.0 if row in rows else min((math.dist(point, each) for each in known), default=math.inf)
            for row, point in enumerate(points)
        ]
        rows.append(int(np.argmax(nearest)))
        distances.append(max(nearest))
        known.append(points[rows[-1]])
    return rows, distances


@st.composite
def clouds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Points and centers with whole coordinates, where float32 makes no error, many of them equal."""
    size, most = draw(st.integers(1, 4)), draw(st.sampled_from([1, 5, 100]))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = seed.integers(-most, most, (draw(st.integers(0, 25)), size), endpoint=True)
    centers = seed.integers(-most, most, (draw(st.integers(0, 8)), size), endpoint=True)
    return points.astype(np.float64), centers.astype(np.float64), draw(st.integers(0, 30))


@settings(deadline=None)
@given(clouds())
def test_k_center_equals_brute_force(cloud: tuple[np.ndarray, np.ndarray, int]) -> None:
    points, centers, picks = cloud
    rows, distances = greedy_k_center(torch.tensor(points).float(), torch.tensor(centers).float(), picks)
    expected_rows, expected_distances = brute_force(points, centers, picks)
    assert rows.tolist() == expected_rows
    assert distances.tolist() == pytest.approx(expected_distances, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0, 10))
def test_k_center_picks_farthest_points_of_any_cloud(seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    points, centers = rng.normal(offset, 1, (60, 16)).astype(np.float32), rng.normal(offset, 1, (5, 16))
    rows, distances = greedy_k_center(torch.tensor(points), torch.tensor(centers, dtype=torch.float32), 20)
    known = centers.astype(np.float32).astype(np.float64)
    for row, distance in zip(rows.tolist(), distances.tolist(), strict=True):
        nearest = np.linalg.norm(points[:, None].astype(np.float64) - known, axis=2).min(1)
        assert nearest[row] == pytest.approx(nearest.max(), rel=1e-3)
        assert distance == pytest.approx(nearest[row], rel=1e-3)
        known = np.vstack([known, points[row]])
    assert len(set(rows.tolist())) == 20


def test_k_center_compares_more_centers_than_fit_a_block() -> None:
    points = torch.arange(3.0)[:, None]
    centers = torch.cat([torch.full((BLOCK + 5, 1), -9.0), torch.tensor([[0.2]])])
    assert greedy_k_center(points, centers, 1)[0].tolist() == [2]
    assert greedy_k_center(points, centers.flip(0), 1)[1].item() == pytest.approx(1.8)


def test_k_center_never_picks_a_point_twice_where_all_are_equal() -> None:
    rows, distances = greedy_k_center(torch.full((6, 3), 0.1), torch.full((2, 3), 0.1), 6)
    assert sorted(rows.tolist()) == list(range(6))
    assert distances.tolist() == pytest.approx([0.0] * 6, abs=1e-3)


def test_k_center_gives_all_points_where_there_are_fewer_than_picks() -> None:
    assert sorted(greedy_k_center(torch.randn(3, 2), torch.zeros(1, 2), 7)[0].tolist()) == [0, 1, 2]
    rows, distances = greedy_k_center(torch.zeros(0, 2), torch.zeros(1, 2), 7)
    assert (rows.shape, distances.shape, rows.dtype) == ((0,), (0,), torch.long)


def test_k_center_without_centers_begins_with_the_first_point() -> None:
    rows, distances = greedy_k_center(torch.tensor([[3.0], [0.0], [10.0]]), torch.zeros(0, 1), 3)
    assert rows.tolist() == [0, 2, 1]
    assert distances.tolist() == [math.inf, 7.0, 3.0]


def test_core_set_starts_from_what_is_labeled(context: Callable[..., Context]) -> None:
    ctx = context()
    points, centers = (ctx.learner.embeddings(ids).double().numpy() for ids in (CANDIDATES, LABELED))
    rows, distances = brute_force(points, centers, 5)
    found = CoreSet().select(ctx)
    assert found.ids.tolist() == CANDIDATES[rows].tolist()
    assert found.scores.tolist() == pytest.approx(distances, rel=1e-3)


def test_of_equal_scores_some_are_picked_at_random(context: Callable[..., Context]) -> None:
    scores = torch.zeros(len(CANDIDATES))
    scores[[20, 3]] = 1.0
    picks = [highest(context(seed=seed), scores) for seed in range(40)]
    assert all(set(each.ids[:2]) == set(CANDIDATES[[3, 20]]) for each in picks)
    assert all(each.scores.tolist() == [1, 1, 0, 0, 0] for each in picks)
    assert {image for each in picks for image in each.ids} == set(CANDIDATES.tolist())
    assert highest(context(seed=1), scores).ids.tolist() == picks[1].ids.tolist()


def test_an_infinite_score_is_sooner_or_later_than_all(context: Callable[..., Context]) -> None:
    scores = torch.arange(float(len(CANDIDATES)))
    scores[0], scores[22] = torch.inf, -torch.inf
    assert highest(context(2), scores).ids.tolist() == CANDIDATES[[0, 21]].tolist()


def test_a_score_that_is_not_a_number_is_refused(context: Callable[..., Context]) -> None:
    scores = torch.zeros(len(CANDIDATES))
    scores[[4, 5]] = torch.nan
    with pytest.raises(ValueError, match="NaN in 2 of 23 scores"):
        highest(context(), scores)


def test_random_draws_without_replacement_and_evenly(context: Callable[..., Context]) -> None:
    draws = [Random().select(context(5, seed)).ids for seed in range(600)]
    assert all(len(set(ids.tolist())) == 5 for ids in draws)
    assert Random().select(context(23)).ids.tolist() != CANDIDATES.tolist()
    assert sorted(Random().select(context(23)).ids) == CANDIDATES.tolist()
    for counted in (np.concatenate(draws), np.array([ids[0] for ids in draws])):
        times = [(counted == image).sum() for image in CANDIDATES]
        assert sum(times) == counted.size
        assert stats.chisquare(times).pvalue > 1e-3


@pytest.mark.parametrize(
    ("strategy", "module"), [(LearningLoss, "lossnet"), (LearningLossMSE, "auxiliary")], ids=["ranking", "mse"]
)
def test_learning_loss_picks_the_highest_predictions_of_its_own_module(
    strategy: type, module: str, context: Callable[..., Context]
) -> None:
    ctx = context(needs=strategy)
    ((_, outputs),) = ctx.learner.batches(CANDIDATES)
    with torch.no_grad():
        predicted = {name: getattr(ctx.learner, name)(outputs.taps) for name in ("lossnet", module)}
    values, order = predicted[module].topk(5)
    found = strategy().select(ctx)
    assert found.ids.tolist() == CANDIDATES[order.numpy()].tolist()
    torch.testing.assert_close(found.scores, values)
    if module == "auxiliary":
        assert not torch.equal(predicted["lossnet"], predicted["auxiliary"])
