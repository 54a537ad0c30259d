"""DeepFool: distances to linear borders by hand, the algorithm image by image, and what is attacked and picked."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import one_by_one
from torch import Tensor, nn
from trained_margins import DEEPFOOL, deepfool_error

from lossbench.submissions.conformance import Trial
from strategies import Context, SelectionError, Strategy
from strategies.deepfool import DeepFool, heaviest_margins, perturbation_norms
from tasks.base import Posteriors, TapModel, UnlabeledTask
from tasks.training.learner import Learner


class Points(UnlabeledTask[Tensor, Tensor]):
    """Images are points, in each channel; every row of logits is a distribution of its own."""

    def __init__(self, points: Tensor, weight: Tensor) -> None:
        self.points, self.weight = points, weight

    def images(self, ids: np.ndarray) -> Tensor:
        return self.points[torch.from_numpy(ids)][:, None, None].repeat(1, 3, 1, 1)

    def posteriors(self, raw: Tensor) -> Posteriors:
        return Posteriors(raw.log_softmax(2), self.weight.expand(len(raw), -1), raw.argmax(2))

    losses = pseudo_targets = embed = None


class Rows(TapModel):
    """Logits (n m k) of points, by any module."""

    def __init__(self, head: nn.Module, rows: int) -> None:
        super().__init__()
        self.head = nn.Sequential(head, nn.Unflatten(1, (rows, -1)))

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        return (images,), (images[:, 0, 0],)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    head = nn.Linear(weight.shape[1], len(weight))
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head


def network(seed: int, size: int, outputs: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(size, 16), nn.Tanh(), nn.Linear(16, outputs))


def context(points: Tensor, head: nn.Module, weight: Tensor | None = None, budget: int = 3) -> Context:
    """All points are candidates, as ids from 5 on; nothing is labeled."""
    weight = torch.ones(1) if weight is None else weight
    points = torch.cat([points.new_zeros(5, points.shape[1]), points])
    learner = Learner(Points(points, weight), Rows(head, len(weight)).eval())
    rng = np.random.default_rng(0)
    return Context(budget, np.arange(0), np.arange(5, len(points)), (learner,), rng, lambda: None)


def random_points(seed: int, count: int = 40, size: int = 6) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def border_distances(points: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """|f_k - f_y| / |w_k - w_y| to the nearest border of the most probable class, by hand."""
    logits, found = points @ weight.T + bias, []
    for point in logits:
        best = int(point.argmax())
        others = [k for k in range(len(bias)) if k != best]
        found.append(min(float((point[best] - point[k]) / (weight[best] - weight[k]).norm()) for k in others))
    return torch.tensor(found)


@pytest.mark.parametrize("seed", range(3))
def test_a_linear_classifier_flips_at_its_nearest_border(seed: int) -> None:
    points, weight, bias = random_points(seed), random_points(seed + 50, 5), random_points(seed + 90, 1, 5)[0]
    ctx = context(points, linear(weight, bias), budget=40)
    found = DeepFool(shortlist=1).select(ctx)
    expected = 1.02 * border_distances(points, weight, bias)
    torch.testing.assert_close(found.scores, -expected.sort().values, rtol=1e-4, atol=1e-6)
    assert found.ids.tolist() == (5 + expected.argsort()).tolist()


def test_by_hand_in_one_dimension() -> None:
    # f = (z, -z, -9): from z = 0.5 to the border at 0 it is 0.5; from -2 it is 2.
    head = linear(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([0.0, 0.0, -9.0]))
    found = DeepFool().select(context(torch.tensor([[-2.0], [0.5], [0.0]]), head))
    assert found.ids.tolist() == [7, 6, 5]  # the last one lies on the border
    assert found.scores.tolist() == pytest.approx([0.0, -0.51, -2.04])


def test_only_the_most_probable_categories_are_rivals() -> None:
    # From z = 2 the border to class 1 (f = -z) is 2 away, that to class 2 (f = 10 z - 25) only 7 / 9.
    head = linear(torch.tensor([[1.0], [-1.0], [10.0]]), torch.tensor([0.0, 0.0, -25.0]))
    point = torch.tensor([[2.0]])
    nearest = float(DeepFool(categories=3).select(context(point, head, budget=1)).scores)
    assert nearest == pytest.approx(-1.02 * 7 / 9)
    farther = float(DeepFool(categories=2).select(context(point, head, budget=1)).scores)
    assert farther == pytest.approx(-1.02 * 2)


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_on_a_network_it_is_the_algorithm_image_by_image(batch: int) -> None:
    points, head = 2 * random_points(7), network(3, 6, 5)
    found = DeepFool(shortlist=1, batch=batch).select(context(points, head, budget=40))
    expected = torch.tensor([one_by_one(head, point[None], 50) for point in points])
    assert torch.isfinite(expected).all()
    torch.testing.assert_close(found.scores, -expected.sort().values, rtol=1e-3, atol=1e-5)
    linearised = torch.tensor([one_by_one(head, point[None], 1) for point in points])
    assert torch.isinf(linearised).any()  # one iteration would not have done


@pytest.mark.slow
def test_on_a_trained_classifier_too(trials: Callable[[str, Strategy], Trial]) -> None:
    ctx = trials("classification", DeepFool()).context()
    DEEPFOOL.check_value(deepfool_error(ctx))
    assert all(each.grad is None for each in ctx.learner.model.parameters())


def test_the_perturbed_images_are_left_out_once_they_flip() -> None:
    points, head = random_points(1), network(3, 6, 5)
    sizes = []

    def scores(images: Tensor, which: Tensor) -> Tensor:
        sizes.append(len(images))
        assert len(which) == len(images)
        return head(images[:, 0, 0])

    norms = perturbation_norms(scores, points[:, None, None], 5, 50, 0.02)
    assert torch.isfinite(norms).all()
    assert sizes[0] == sizes[1] == 40  # nobody flips before the first step
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 20
    assert len(sizes) < 51
    sizes.clear()
    norms = perturbation_norms(scores, points[:, None, None], 5, 1, 0.02)
    assert len(sizes) == 2
    assert 0 < torch.isinf(norms).sum() < 40


def test_an_image_that_cannot_flip_is_picked_last() -> None:
    steep = linear(torch.tensor([[0.0, 1.0], [0.0, -1.0]]), torch.tensor([0.0, 0.0]))
    dead = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), steep)
    with torch.no_grad():
        dead[0].weight.copy_(torch.eye(2))
        dead[0].bias.copy_(torch.tensor([0.0, 0.0]))
        steep.bias.copy_(torch.tensor([-1.0, 0.5]))
    # Below 0 the ReLU lets no gradient through. Their margin is 1.5; that of the two others is 2.5 and 4.5.
    ctx = context(torch.tensor([[1.0, -1.0], [1.0, 2.0], [1.0, -7.0], [1.0, 3.0]]), dead, budget=4)
    found = DeepFool().select(ctx)
    assert found.ids[:2].tolist() == [6, 8]
    assert sorted(found.ids[2:]) == [5, 7], "they are equal, and come in any order"
    assert found.scores.tolist() == pytest.approx([-1.02 * 1.25, -1.02 * 2.25, -math.inf, -math.inf])


def rows_of(weight: list[list[float]], margins: list[list[float]]) -> Posteriors:
    """Rows of three categories whose two best have these log-ratios."""
    margin = torch.tensor(margins)
    logits = torch.stack([torch.zeros_like(margin), margin, torch.full_like(margin, -1.0)], 2)
    return Posteriors(logits.log_softmax(2), torch.tensor(weight), torch.zeros(margin.shape, dtype=torch.long))


def test_the_heaviest_row_decides_and_of_equal_ones_the_least_certain() -> None:
    weight = [[0.2, 0.7, 0.1], [0.5, 0.5, 0.0], [0.4, 0.2, 0.4]]
    margins, rows = heaviest_margins(rows_of(weight, [[1.0, 3.0, 0.5], [4.0, 2.0, 0.1], [2.0, 0.1, 5.0]]))
    assert rows.tolist() == [1, 1, 0]
    torch.testing.assert_close(margins, torch.tensor([3.0, 2.0, 2.0]))


def test_of_many_rows_the_chosen_one_is_attacked() -> None:
    weight, points = torch.tensor([0.3, 0.6, 0.1]), random_points(3, 20)
    head = linear(random_points(11, 12), random_points(12, 1, 12)[0])  # three rows of four categories
    found = DeepFool(shortlist=1).select(context(points, head, weight, budget=20))
    expected = 1.02 * border_distances(points, head.weight[4:8].detach(), head.bias[4:8].detach())
    torch.testing.assert_close(found.scores, -expected.sort().values, rtol=1e-4, atol=1e-6)


def test_only_the_shortlist_of_smallest_margins_is_attacked(monkeypatch: pytest.MonkeyPatch) -> None:
    points, head = random_points(5), network(4, 6, 5)
    margins = head(points).log_softmax(1).topk(2, 1).values
    nearest = (margins[:, 0] - margins[:, 1]).argsort()[:8] + 5
    asked: list[int] = []
    read = Points.images
    monkeypatch.setattr(Points, "images", lambda self, ids: (asked.append(ids.tolist()), read(self, ids))[1])
    found = DeepFool(shortlist=2.5).select(context(points, head, budget=3))
    assert asked[0] == list(range(5, 45))
    assert asked[1:] == [nearest.tolist()]
    assert set(found.ids.tolist()) <= set(nearest.tolist())


def test_one_category_or_a_prediction_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(SelectionError, match="only one"):
        DeepFool().select(context(random_points(0), nn.Linear(6, 1)))
    points = random_points(0)
    points[3, 2] = torch.nan
    with pytest.raises(SelectionError, match="predictions are not finite"):
        DeepFool().select(context(points, nn.Linear(6, 3)))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from(["random", "equal", "constant", "certain", "two"]),
    st.sampled_from([1.0, 1.3, 9.0]),
)  # fmt: skip
def test_whatever_the_model_the_picks_are_distinct(seed: int, budget: int, form: str, shortlist: float) -> None:
    points = random_points(seed, 8)
    if form == "equal":
        points = torch.ones_like(points)
    weight, bias = random_points(seed + 1, 2 if form == "two" else 4), torch.zeros(2 if form == "two" else 4)
    if form == "constant":
        weight = torch.zeros_like(weight)
    elif form == "certain":
        weight = weight * 1e4
    found = DeepFool(shortlist=shortlist, iterations=4).select(context(points, linear(weight, bias), budget=budget))
    assert len(set(found.ids.tolist())) == budget
    assert set(found.ids.tolist()) <= set(range(5, 13))
    assert not found.scores.isnan().any()
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
