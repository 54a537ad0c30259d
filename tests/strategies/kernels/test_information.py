"""Measures of uncertainty and disagreement: numbers by hand, by float64 formulas and by scikit-activeml."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from exact_information import entropies, exact, mutual_information, residuals, vote_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from strategies.committee import pooled
from strategies.kernels.information import (
    coefficient_of_variation,
    disagreement,
    entropy,
    expected_residual,
    least_confidence,
    margin,
    shares_of_lower,
    uncertainty_statistics,
    variation_ratio,
    vote_entropy,
    vote_shares,
)
from tasks.base import Posteriors

# Six predictions of three members, and what scikit-activeml 1.0.1 says of them.
FIRST = [[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [1, 0, 0], [1 / 3] * 3, [0.45, 0.45, 0.1], [0.02, 0.38, 0.6]]
SECOND = [FIRST[row] for row in (1, 0, 3, 2, 5, 4)]
THIRD = [[row[column] for column in (2, 0, 1)] for row in FIRST]


def rows(values: list[list[float]]) -> Tensor:
    """Images of one distribution each, as log-probabilities."""
    return torch.tensor(values).log().unsqueeze(1)


def predictions(log_probs: Tensor, weight: Tensor | None = None) -> Posteriors:
    """A prediction whose rows all count alike unless weights are given."""
    images, each, _ = log_probs.shape
    weight = torch.full((images, each), 1 / each) if weight is None else weight
    return Posteriors(log_probs, weight, torch.zeros(images, each, dtype=torch.long))


def drawn(seed: int, *shape: int, spread: float = 4.0) -> Tensor:
    """Random log-probabilities."""
    return (spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).log_softmax(-1)


def test_scikit_activeml_gives_the_same_numbers() -> None:
    """`uncertainty_scores`, `average_kl_divergence`, `vote_entropy` and `variation_ratios` of `skactiveml.pool`."""
    members = [rows(each) for each in (FIRST, SECOND, THIRD)]
    first = members[0]
    shares = vote_shares(members)
    least_confident = [0.5, 0.1, 0, 0.6666666666666667, 0.55, 0.4]
    margin_sampling = [0.8, 0.15, 0, 1, 1, 0.78]
    expected = {
        "entropy": (
            1.0296530140645737,
            0.39439769144744274,
            0,
            1.0986122886681096,
            0.9489154358953991,
            0.7524177643476,
        ),
        "divergence": (0.185692926707, 0.340294571457, 0.598758826747, 0.262618797715, 0.163096293243, 0.274904771064),
        "votes": (
            0.6365141682948128,
            0.6365141682948128,
            0.6365141682948128,
            0,
            1.0986122886681096,
            0.6365141682948128,
        ),
        "ratio": (1 / 3, 1 / 3, 1 / 3, 0, 2 / 3, 1 / 3),
    }
    assert least_confidence(first)[:, 0].tolist() == pytest.approx(least_confident, abs=1e-6)
    assert (1 - margin(first))[:, 0].tolist() == pytest.approx(margin_sampling, abs=1e-6)
    assert entropy(first)[:, 0].tolist() == pytest.approx(expected["entropy"], abs=1e-6)
    divergence = disagreement(predictions(each) for each in members)
    assert divergence.tolist() == pytest.approx(expected["divergence"], abs=1e-6)
    assert vote_entropy(shares)[:, 0].tolist() == pytest.approx(expected["votes"], abs=1e-6)
    assert variation_ratio(shares)[:, 0].tolist() == pytest.approx(expected["ratio"], abs=1e-6)


def test_votes_worked_out_by_hand() -> None:
    votes = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 2, 0], [3, 2, 1, 0]])
    members = [functional.one_hot(each, 4).float().log().unsqueeze(1) for each in votes.T]
    shares = vote_shares(members)
    assert shares[:, 3, 0].tolist() == [0.5, 0.25, 0.25, 0.5]
    three_to_one = 2 * math.log(2) - 0.75 * math.log(3)
    by_hand = [0, three_to_one, math.log(2), 1.5 * math.log(2), 2 * math.log(2)]
    assert vote_entropy(shares)[:, 0].tolist() == pytest.approx(by_hand)
    assert variation_ratio(shares)[:, 0].tolist() == [0, 0.25, 0.5, 0.5, 0.75]


@pytest.mark.parametrize("members", [3, 5, 10, 37])
def test_equal_counts_score_the_same_whoever_dissents(members: int) -> None:
    """One dissenter each, then two who agree: the scores are the same to the bit, so that ties are broken at random."""
    for dissenters in (1, 2):
        votes = torch.zeros(members, members, dtype=torch.long)
        for shift in range(dissenters):
            votes[torch.arange(members), (torch.arange(members) + shift) % members] = 1
        shares = vote_shares([functional.one_hot(each, 3).float().log().unsqueeze(1) for each in votes.T])
        assert len(vote_entropy(shares).unique()) == 1
        assert len(variation_ratio(shares).unique()) == 1


@pytest.mark.parametrize("joints", [14, 16, 21])
def test_equal_rows_score_the_same_in_whatever_order(joints: int) -> None:
    log_probs, weight = torch.zeros(200, joints, 1), torch.full((200, joints), 1 / joints)
    values = torch.tensor([0.6365142, 1.0986123, 0.0])[torch.arange(joints) % 3]
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.stack([values[torch.randperm(joints, generator=generator)] for _ in range(200)])
    prediction = Posteriors(log_probs, weight, torch.zeros(200, joints, dtype=torch.long))
    assert len(prediction.pooled(shuffled).unique()) > 1, "in float32 the order counts"
    assert len(pooled([prediction] * 3, shuffled).unique()) == 1


@given(st.integers(1, 7), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_votes_count_as_by_the_definition(members: int, categories: int, seed: int) -> None:
    log_probs = drawn(seed, members, 3, 2, categories)
    shares = vote_shares(list(log_probs))
    counts = vote_counts(exact(log_probs)) / members
    np.testing.assert_allclose(vote_entropy(shares), entropies(counts), atol=1e-6)
    np.testing.assert_allclose(variation_ratio(shares), 1 - counts.max(-1), atol=1e-6)


def test_a_committee_of_one_does_not_disagree() -> None:
    alone = drawn(0, 4, 3, 5)
    shares = vote_shares([alone])
    assert (vote_entropy(shares) == 0).all()
    assert (variation_ratio(shares) == 0).all()
    assert disagreement([predictions(alone)]).tolist() == [0] * 4


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 10.0, 200.0]))
def test_disagreement_is_mutual_information(members: int, seed: int, spread: float) -> None:
    log_probs = drawn(seed, members, 3, 1, 6, spread=spread)
    found = disagreement(predictions(each) for each in log_probs)
    np.testing.assert_allclose(found, mutual_information(exact(log_probs))[:, 0], atol=2e-6)
    assert (found >= 0).all()
    assert (found <= math.log(min(members, 6)) + 1e-5).all()


@given(st.integers(2, 25), st.integers(0, 2**32 - 1))
def test_predictions_that_agree_do_not_disagree_at_all(members: int, seed: int) -> None:
    same = predictions(drawn(seed, 5, 3, 7))
    assert disagreement([same] * members).tolist() == [0] * 5


def test_rounding_makes_no_disagreement_negative() -> None:
    logits = 3 * torch.randn(200, 1, 10, generator=torch.Generator().manual_seed(0))
    noise = 1e-6 * torch.randn(5, 200, 1, 10, generator=torch.Generator().manual_seed(1))
    found = disagreement(predictions((logits + each).log_softmax(2)) for each in noise)
    assert (found >= 0).all()
    assert (found < 1e-5).all()


def test_a_row_counts_with_its_mean_weight_over_the_predictions() -> None:
    sure, unsure, other = [0.0, -math.inf], [math.log(0.5)] * 2, [-math.inf, 0.0]
    one = predictions(torch.tensor([[sure, sure, unsure]]), torch.tensor([[1.0, 0.0, 0.0]]))
    two = predictions(torch.tensor([[other, sure, unsure]]), torch.tensor([[0.5, 0.5, 0.0]]))
    by_hand = pytest.approx([0.75 * math.log(2)])
    assert disagreement([one, two]).tolist() == by_hand
    shares = vote_shares([one.log_probs, two.log_probs])
    assert pooled([one, two], vote_entropy(shares)).tolist() == by_hand
    assert pooled([one, two], variation_ratio(shares)).tolist() == pytest.approx([0.75 * 0.5])


def test_predictions_are_not_written_to() -> None:
    members = [predictions(drawn(seed, 2, 3, 4)) for seed in range(3)]
    before = copy.deepcopy(members)
    disagreement(members)
    vote_shares([each.log_probs for each in members])
    for measure in (least_confidence, margin, expected_residual):
        measure(members[0].log_probs)
    for one, other in zip(members, before, strict=True):
        assert torch.equal(one.log_probs, other.log_probs)
        assert torch.equal(one.weight, other.weight)


def test_margin_and_least_confidence_by_hand() -> None:
    log_probs = torch.tensor([[[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.25, 0.5, 0.25]]]).log()
    assert margin(log_probs)[0].tolist() == pytest.approx([0.2, 1.0, 0.25])
    assert least_confidence(log_probs)[0].tolist() == pytest.approx([0.5, 0.0, 0.5])
    nearly_sure = torch.tensor([[[-1e-9, math.log(1e-9)]]])
    assert least_confidence(nearly_sure).item() == pytest.approx(1e-9)


def test_the_residual_of_a_fair_coin_by_hand() -> None:
    # p - e_y is (1/2, -1/2) for both y, of length sqrt(1/2); of (1/4, 3/4) it is sqrt(2) 3/4 and sqrt(2) 1/4.
    log_probs = torch.tensor([[[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]]]).log()
    assert expected_residual(log_probs)[0].tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(2) * 3 / 8, 0])


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 10.0, 200.0]))
def test_residuals_and_confidences_are_those_of_the_definition(categories: int, seed: int, spread: float) -> None:
    log_probs = drawn(seed, 4, 3, categories, spread=spread)
    probs = exact(log_probs)
    np.testing.assert_allclose(expected_residual(log_probs), residuals(probs), atol=1e-6)
    np.testing.assert_allclose(least_confidence(log_probs), 1 - probs.max(-1), atol=1e-6)
    second = np.sort(probs, -1)[..., -2] if categories > 1 else 0
    np.testing.assert_allclose(margin(log_probs), probs.max(-1) - second, atol=1e-6)


def test_a_residual_next_to_nothing_is_not_lost_in_rounding() -> None:
    log_probs = torch.tensor([[[0.0, math.log(1e-6), math.log(1e-9)]]])
    # To the first order p(y) = 1 - d, and the others d: |p - e_y| of the likeliest is sqrt(2) d, of the other sqrt(2).
    assert expected_residual(log_probs).item() == pytest.approx(2 * math.sqrt(2) * 1e-6, rel=2e-3)


def test_one_category_leaves_nothing_uncertain() -> None:
    only = torch.zeros(2, 3, 1)
    assert (margin(only) == 1).all()
    for measure in (least_confidence, expected_residual, entropy):
        assert (measure(only) == 0).all()
    assert disagreement([predictions(only)] * 2).tolist() == [0, 0]
    assert (vote_entropy(vote_shares([only] * 2)) == 0).all()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_not_a_number_stays_so_in_its_row_and_nowhere_else(place: int) -> None:
    log_probs = drawn(1, 2, 2, 3)
    broken = log_probs.clone()
    broken[0, 1, place] = torch.nan
    shares = vote_shares([log_probs, broken, log_probs])
    found = [measure(broken) for measure in (least_confidence, margin, expected_residual)]
    found += [vote_entropy(shares), variation_ratio(shares)]
    for each in found:
        assert each.isnan().tolist() == [[False, True], [False, False]]
    unread = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    weighted = [predictions(each, unread) for each in (log_probs, broken)]
    assert not disagreement(weighted).isnan().any(), "a row of weight 0 is never read"
    assert disagreement([predictions(log_probs), predictions(broken)]).isnan().tolist() == [True, False]


def test_uncertainty_statistics_by_hand() -> None:
    """Of rows (.5, .5) and (.9, .1) that weigh 1 and 3, and of one that weighs nothing."""
    log_probs = torch.tensor([[[0.5, 0.5], [0.9, 0.1], [float("nan")] * 2]]).log()
    found = uncertainty_statistics(predictions(log_probs, torch.tensor([[0.25, 0.75, 0.0]])))[0].tolist()
    low = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2)
    means = [0.25 * first + 0.75 * second for first, second in ((1, low), (0.5, 0.1), (1, 0.2))]
    assert found == pytest.approx([*means, 1, 0.5, 1, *map(math.log, means)], abs=1e-6)


def test_uncertainty_statistics_of_certain_predictions_are_finite() -> None:
    for log_probs in (torch.zeros(2, 3, 1), torch.tensor([[[1.0, 0.0]]]).log()):
        found = uncertainty_statistics(predictions(log_probs))
        assert found[:, :6].abs().max() == 0
        assert found[:, 6:].tolist() == pytest.approx(math.log(1e-6) * torch.ones(len(found), 3))


def test_shares_of_lower_are_equal_where_numbers_are() -> None:
    assert shares_of_lower(torch.tensor([3.0, -1.0, 3.0, 8.0])).tolist() == [0.75, 0.25, 0.75, 1.0]
    assert shares_of_lower(torch.zeros(0)).tolist() == []


def test_coefficient_of_variation_by_hand() -> None:
    assert coefficient_of_variation(torch.tensor([1.0, 3.0])) == pytest.approx(0.5)
    for alike in (torch.zeros(0), torch.zeros(3), torch.ones(1), torch.full((4,), 0.25)):
        assert coefficient_of_variation(alike) == 0
