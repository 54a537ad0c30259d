"""Feature mixing: how caps are merged, and which candidates are picked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from points import context, random_problem
from torch import Tensor

from strategies import SelectionError
from strategies.alfa_mix import AlfaMix
from strategies.alfa_mix_variants import AlfaMixKL, AlfaMixLearned, AlfaMixNorm, AlfaMixUniform
from strategies.kernels.mixing import MixingEffect, merge_caps

ENTRIES = (AlfaMix, AlfaMixLearned, AlfaMixNorm, AlfaMixKL, AlfaMixUniform)


def change_of(
    flipped: list[float], length: list[float] | None = None, divergence: list[float] | None = None
) -> MixingEffect:
    weight = torch.tensor(flipped)
    length = [1.0] * len(flipped) if length is None else length
    apart = torch.zeros_like(weight) if divergence is None else torch.tensor(divergence)
    return MixingEffect(weight, torch.where(weight >= 0.5, torch.tensor(length), torch.inf), apart)


def test_the_smallest_cap_with_more_candidates_than_the_budget_is_taken() -> None:
    asked = []

    def changes(*rows: list[float]) -> object:
        for number, row in enumerate(rows):
            asked.append(number)
            yield change_of(row, [number + 1.0] * 3, [10.0 + number] * 3)

    rows = ([0.6, 0.0, 0.2], [0.7, 0.5, 0.3], [1.0, 1.0, 1.0])
    found = merge_caps(changes(*rows), 1)
    assert found.changed_weight.tolist() == pytest.approx([0.7, 0.5, 0.3])
    assert found.distance.tolist() == [1.0, 2.0, math.inf]  # of the first cap that changes the image
    assert found.divergence.tolist() == [10.0, 11.0, 10.0]
    assert asked == [0, 1]
    assert (merge_caps(changes(*rows), 2).changed_weight >= 0.5).sum() == 3  # two candidates are not more than two
    assert (merge_caps(changes(*rows[:2]), 2).changed_weight >= 0.5).sum() == 2  # the largest cap, however few
    with pytest.raises(SelectionError, match="at least one cap"):
        merge_caps([], 2)


def candidates_of(strategy: AlfaMix, change: MixingEffect, budget: int, embeddings: Tensor | None = None) -> list[int]:
    points, _, weight, bias = random_problem(0, count=len(change.changed_weight) + 2)
    ctx = context(points, weight, bias, torch.ones(2, 1, dtype=torch.bool), budget)
    rows = (change.changed_weight >= 0.5).nonzero().squeeze(1)
    return strategy._choose(ctx, rows, points[2:] if embeddings is None else embeddings, change).tolist()


def test_clustering_looks_at_angles_and_takes_one_of_each_bundle() -> None:
    angles = torch.tensor([0.0, 0.1, 0.12, 2.0, 2.02, 2.3, 4.0, 4.01, 4.3])
    lengths = torch.tensor([50.0, 1.0, 3.0, 9.0, 1.0, 90.0, 30.0, 2.0, 4.0])[:, None]
    embeddings = lengths * torch.stack([angles.cos(), angles.sin()], 1)
    found = candidates_of(AlfaMix(), change_of([1.0] * 9), 3, embeddings)
    assert sorted(found) == [1, 4, 7]  # the middle angle of each
    assert candidates_of(AlfaMix(), change_of([1.0, 0.0, 1.0]), 2, embeddings[:3]) == [0, 2]


def test_the_other_ways_to_spread() -> None:
    change = change_of([1.0, 0.5, 0.4, 1.0, 0.9], [3.0, 1.0, 0.1, 2.0, 4.0], [0.2, 0.1, 0.9, 0.4, 0.3])
    assert candidates_of(AlfaMixNorm(), change, 3) == [1, 3, 0]
    assert candidates_of(AlfaMixKL(), change, 3) == [3, 4, 0]
    found = candidates_of(AlfaMixUniform(), change, 3)
    assert set(found) <= {0, 1, 3, 4}
    assert len(set(found)) == 3


def test_a_uniform_choice_among_candidates_is_even() -> None:
    points, _, weight, bias = random_problem(0, count=8)
    rows, change, times = torch.tensor([1, 4, 5]), change_of([1.0] * 6), np.zeros(6)
    for seed in range(300):
        ctx = context(points, weight, bias, torch.ones(2, 1, dtype=torch.bool), 1, seed=seed)
        times[AlfaMixUniform()._choose(ctx, rows, points[2:], change)] += 1
    assert times[[0, 2, 3]].sum() == 0
    assert times[[1, 4, 5]].min() > 70


def test_missing_candidates_are_filled_by_the_weight_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _, weight, bias = random_problem(0, count=10)
    flipped = [0.1, 0.8, 0.4, 0.0, 0.0, 0.0, 0.3, 0.0]
    monkeypatch.setattr(AlfaMix, "_closed_form", lambda *_: (points[2:], [change_of(flipped)]))
    picks = [
        AlfaMix().select(context(points, weight, bias, torch.ones(2, 1, dtype=torch.bool), 6, seed=seed)).ids.tolist()
        for seed in range(40)
    ]
    assert all(each[:4] == [3, 4, 8, 2] for each in picks)  # ids begin after the two labeled ones
    assert all(len(set(each)) == 6 for each in picks)
    assert {image for each in picks for image in each[4:]} == {5, 6, 7, 9}  # the others, at random


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(ENTRIES), st.integers(0, 2**32 - 1), st.integers(1, 9),
    st.sampled_from(["random", "equal", "few", "no gradient", "one class"]),
)  # fmt: skip
def test_whatever_the_features_the_picks_are_distinct(entry: type, seed: int, budget: int, form: str) -> None:
    points, _, weight, bias = random_problem(seed, count=13, size=4, classes=3)
    if form == "equal":
        points = torch.ones_like(points)
    elif form == "few":
        points = points[torch.arange(13) % 3]
    elif form == "no gradient":
        weight = weight * 0
    elif form == "one class":
        weight, bias = weight[:1], bias[:1]
    groups = torch.zeros(4, 3, dtype=torch.bool)
    groups[:, seed % 3] = seed % 2 == 0
    ids = entry().select(context(points, weight, bias, groups, budget, seed=seed)).ids
    assert len(set(ids.tolist())) == budget
    assert set(ids.tolist()) <= set(range(4, 13))


def test_the_entries_differ_in_a_default_only() -> None:
    plain = AlfaMix().model_dump()
    assert [dict(entry().model_dump().items() - plain.items()) for entry in ENTRIES] == [
        {}, {"alpha": "learned"}, {"spread": "norm"}, {"spread": "kl"}, {"spread": "uniform"},
    ]  # fmt: skip
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
