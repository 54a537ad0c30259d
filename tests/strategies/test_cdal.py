"""CDAL: mixtures by hand, and the plain loop over contexts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_contexts import CANDIDATES, LABELED, MakeContext, normal
from torch import Tensor

from strategies import SelectionError
from strategies.cdal import (
    CDAL,
    Absent,
    Mixtures,
    cdal_picks,
    concatenate,
    context_mixtures,
    contextual_space,
)
from strategies.kernels.rows import pooled_cells
from tasks.base import Posteriors


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
