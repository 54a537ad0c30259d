"""VL4Pose: scores by hand, a network that learns distances, poses that no labeled one is like, and tasks without maps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from points import Line, Points, context, random_problem
from tiny_contexts import CANDIDATES, MakeContext
from torch import Tensor

from strategies import Context, SelectionError
from strategies.entropy import Entropy
from strategies.kernels.skeletons import Places
from strategies.vl4pose import DistanceNetwork, Poses, VL4Pose, unlikeliness
from tasks.base import Posteriors
from tasks.training.learner import Learner

SIDE, LABELED = 16, 60


class Joints(Points):
    """Images hold the rows and columns of three joints; a map is 1 at its joint, or at two cells where it is in doubt."""

    doubtful: tuple[int, ...] = ()

    def posteriors(self, raw: Tensor) -> Posteriors:
        maps = torch.full((len(raw), 3, SIDE, SIDE), 1e-6)
        for image, places in enumerate(raw.long().reshape(-1, 3, 2).tolist()):
            for joint, (row, column) in enumerate(places):
                maps[image, joint, row, column] = 1
                if places in self.points[list(self.doubtful)].long().reshape(-1, 3, 2).tolist():
                    maps[image, joint, SIDE - 1 - row, column] = 1
        cells = maps.flatten(2)
        weight, names = torch.full((len(raw), 3), 1 / 3), torch.arange(3).expand(len(raw), 3)
        return Posteriors((cells / cells.sum(2, keepdim=True)).log(), weight, names, (SIDE, SIDE))


def poses(rng: np.random.Generator, count: int) -> np.ndarray:
    """The first joint anywhere, the second three cells to the right, the third three or four to its right or below."""
    first = rng.integers(0, 9, (count, 2))
    second = first + np.array([0, 3])
    offsets = np.array([[3, 0], [4, 0], [0, 3], [0, 4]])[rng.integers(4, size=count)]
    return np.concatenate([first, second, second + offsets], 1)


def pose_context(pool: np.ndarray, budget: int = 3) -> Context:
    """The first poses are labeled; the model sees where the joints are."""
    points = torch.from_numpy(pool).float()
    learner = Learner(Joints(points), Line(torch.eye(6), torch.zeros(6)).eval(), batch=32)
    ids = np.arange(len(pool))
    return Context(
        budget, ids[:LABELED], ids[LABELED:], (learner,), np.random.default_rng(0), lambda: torch.zeros(0, 1)
    )


def test_scores_by_hand() -> None:
    positions = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.3], [0.0, 0.5]]]])
    places = Places(positions, torch.tensor([[[1.0, 0.0], [0.25, 0.75]]]))
    doubt = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    square = (0.25 * 0.1**2 + 0.75 * 0.1**2) / 0.01  # both .1 from the mean of .4, under a variance of .01
    link = 0.5 * (square + math.log(0.01) + math.log(2 * math.pi))
    mean, logs, edges = torch.tensor([[0.4]]), torch.tensor([[math.log(0.01)]]), torch.tensor([[0, 1]])
    seen = Poses(places, torch.tensor([[True, True]]), torch.zeros(1, 1))
    assert unlikeliness(seen, edges, mean, logs).item() == pytest.approx((doubt + link) / 2)
    hidden = Poses(places, torch.tensor([[False, True]]), torch.zeros(1, 1))
    assert unlikeliness(hidden, edges, mean, logs).item() == pytest.approx(doubt)


def test_untrained_the_network_gives_the_mean_and_variance_of_what_counts() -> None:
    distances = torch.tensor([[0.1, 0.5], [0.3, 0.5], [0.9, 0.5]])
    shown = torch.tensor([[True, True], [True, True], [False, True]])
    network = DistanceNetwork(torch.zeros(3, 4), distances, shown, 8, 1e-4)
    means, logs = network(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))
    assert means[2].tolist() == pytest.approx([0.2, 0.5])
    assert logs[2].exp().tolist() == pytest.approx([0.01, 1e-4])


def test_the_tree_joins_what_keeps_its_distance() -> None:
    edges, network = VL4Pose(epochs=1)._fitted(pose_context(poses(np.random.default_rng(1), 70)), 1e-4)
    assert edges.tolist() == [[0, 1], [1, 2]]
    assert not any(weights.requires_grad for weights in network.parameters())


class HalfSeen(Joints):
    """A third joint at the origin is not seen."""

    def posteriors(self, raw: Tensor) -> Posteriors:
        found = super().posteriors(raw)
        seen = torch.stack([torch.ones(len(raw)), torch.ones(len(raw)), raw[:, 4:].any(1).float()], 1)
        return replace(found, weight=seen / seen.sum(1, keepdim=True))


def test_of_a_joint_that_no_labeled_image_shows_nothing_is_expected() -> None:
    pool = poses(np.random.default_rng(2), LABELED + 20)
    pool[:LABELED, 4:] = 0
    ctx = pose_context(pool)
    learner = replace(ctx.learner, task=HalfSeen(torch.from_numpy(pool).float()))
    edges, network = VL4Pose.smoke()._fitted(replace(ctx, committee=(learner,)), 1 / (12 * SIDE**2))
    assert edges.tolist() == [[0, 1]]
    assert network(torch.zeros(1, 6))[0].shape == (1, 1)


def test_the_network_learns_distances_from_embeddings() -> None:
    ctx = pose_context(poses(np.random.default_rng(2), 90))
    strategy = VL4Pose(epochs=400, learning_rate=3e-3)
    edges, network = strategy._fitted(ctx, 1e-4)
    points = ctx.learner.task.points
    means, _ = network(points)
    expected = (points[:, 4:] - points[:, 2:4]).sum(1) / SIDE
    assert edges[1].tolist() == [1, 2]
    assert (means[:, 1] - expected).abs().mean() < 0.5 * expected.std()


def test_unlikely_poses_come_first() -> None:
    pool = poses(np.random.default_rng(3), LABELED + 40)
    odd = [LABELED + 5, LABELED + 21, LABELED + 33]
    pool[odd, 4:] = [[15, 15], [0, 15], [15, 0]]
    found = VL4Pose(epochs=20).select(pose_context(pool))
    assert sorted(found.ids.tolist()) == odd
    assert found.scores is not None
    assert found.scores.diff().max() <= 0


def test_joints_in_doubt_come_first() -> None:
    pool = poses(np.random.default_rng(4), LABELED + 40)
    pool[LABELED + 9] = [9, 0, 9, 3, 12, 3]  # no other begins in this row
    ctx = pose_context(pool, budget=1)
    ctx.learner.task.doubtful = (LABELED + 9,)
    assert VL4Pose(epochs=5).select(ctx).ids.tolist() == [LABELED + 9]


def test_where_rows_are_no_maps_it_is_entropy(kind: str, context: MakeContext) -> None:
    ctx = context(kind)
    (posteriors,) = ctx.learner.posteriors(CANDIDATES)
    found = VL4Pose(epochs=2).select(ctx)
    if posteriors.grid is None:
        assert found.ids.tolist() == Entropy().select(context(kind)).ids.tolist()
    else:
        assert len(set(found.ids)) == ctx.budget


def test_on_one_row_it_is_entropy() -> None:
    points, _, weight, bias = random_problem(5, count=80)
    groups = torch.ones(10, 1).bool()
    one, other = (each.select(context(points, weight, bias, groups, 12)) for each in (VL4Pose(), Entropy()))
    assert one.ids.tolist() == other.ids.tolist()


def test_maps_without_a_labeled_image_are_refused() -> None:
    ctx = replace(pose_context(poses(np.random.default_rng(5), 80)), labeled=np.arange(0))
    with pytest.raises(SelectionError, match="no image is labeled"):
        VL4Pose().select(ctx)
