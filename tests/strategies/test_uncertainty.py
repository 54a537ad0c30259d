"""Strategies that read posteriors: numbers worked out by hand, by float64 formulas and by scikit-activeml."""

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
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from lossbench.submissions.conformance import Trial
from strategies import Context, Selection, SelectionError, Strategy
from strategies.bald import Bald
from strategies.committee import CommitteeDisagreement, CommitteeVoteEntropy, VariationRatio, pooled
from strategies.gradient_length import ExpectedGradientLength
from strategies.kernels.information import (
    disagreement,
    entropy,
    expected_residual,
    least_confidence,
    margin,
    variation_ratio,
    vote_entropy,
    vote_shares,
)
from strategies.least_confidence import LeastConfidence
from strategies.margin import Margin
from strategies.true_loss import TrueLoss
from tasks.base import Posteriors
from tasks.images.pixels import Pixels
from tasks.training.learner import Learner

Trials = Callable[[str, Strategy], Trial]
READERS = [
    LeastConfidence(),
    Margin(),
    Bald(passes=3),
    CommitteeVoteEntropy(),
    CommitteeDisagreement(),
    VariationRatio.smoke(),
    ExpectedGradientLength(),
]
COMMITTEES = [each for each in READERS if each.committee_size > 1]

# Six predictions of three members, and what scikit-activeml 1.0.1 says of them.
FIRST = [[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [1, 0, 0], [1 / 3] * 3, [0.45, 0.45, 0.1], [0.02, 0.38, 0.6]]
SECOND = [FIRST[row] for row in (1, 0, 3, 2, 5, 4)]
THIRD = [[row[column] for column in (2, 0, 1)] for row in FIRST]


def name_of(value: object) -> str | None:
    return getattr(value, "name", None)


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


def exact(log_probs: Tensor) -> np.ndarray:
    """Probabilities in float64."""
    return log_probs.double().exp().numpy()


def entropies(probs: np.ndarray) -> np.ndarray:
    """Entropy by the definition."""
    return -np.where(probs > 0, probs * np.log(np.where(probs > 0, probs, 1)), 0).sum(-1)


def mutual_information(probs: np.ndarray) -> np.ndarray:
    """Of predictions along the first axis, by the definition."""
    return entropies(probs.mean(0)) - entropies(probs).mean(0)


def residuals(probs: np.ndarray) -> np.ndarray:
    """sum over y of p(y) |p - e_y| by the definition."""
    lengths = np.linalg.norm(probs[..., None, :] - np.eye(probs.shape[-1]), axis=-1)
    return (probs * lengths).sum(-1)


def vote_counts(probs: np.ndarray) -> np.ndarray:
    """How many predictions along the first axis vote for each category."""
    return (probs.argmax(-1)[..., None] == np.arange(probs.shape[-1])).sum(0)


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


def expected_scores(strategy: Strategy, ctx: Context) -> np.ndarray:
    """Of all candidates, by the definition, in float64."""
    learner = ctx.learner
    if isinstance(strategy, Bald):
        (given,) = learner.dropout_passes(ctx.candidates, strategy.passes, strategy.rate, np.random.default_rng(3))
        members = list(given)
    else:
        members = [next(each.posteriors(ctx.candidates)) for each in ctx.committee]
    probs = np.stack([exact(each.log_probs) for each in members])
    weight = np.stack([each.weight.double().numpy() for each in members]).mean(0)
    shares = vote_counts(probs) / len(members)
    measured = {
        "least-confidence": lambda: 1 - probs[0].max(-1),
        "margin": lambda: np.sort(probs[0], -1)[..., -2] - probs[0].max(-1),
        "bald": lambda: mutual_information(probs),
        "committee-disagreement": lambda: mutual_information(probs),
        "committee-vote-entropy": lambda: entropies(shares),
        "variation-ratio": lambda: 1 - shares.max(-1),
        "expected-gradient-length": lambda: residuals(probs[0]),
    }
    scores = (weight * measured[strategy.name]()).sum(1)
    if isinstance(strategy, ExpectedGradientLength):
        scores *= np.linalg.norm(learner.embeddings(ctx.candidates).double().numpy(), axis=1)
    return scores


def assert_highest(found: Selection, candidates: np.ndarray, scores: np.ndarray) -> None:
    """What was picked has the highest of these scores, and says so."""
    assert len(np.unique(scores.round(6))) > 1, "nothing to tell apart"
    highest = np.sort(scores)[::-1][: len(found.ids)]
    np.testing.assert_allclose(found.scores, highest, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores[np.searchsorted(candidates, found.ids)], highest, rtol=1e-4, atol=1e-6)


def opinionated(learner: Learner, ids: np.ndarray, seed: int) -> Learner:
    """The same with a random linear head around the middle of these images: one epoch leaves all with one category."""
    model = copy.deepcopy(learner.model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.head.weight.copy_(torch.randn(model.head.weight.shape, generator=generator))
        model.head.bias.copy_(-model.head.weight @ learner.embeddings(ids).mean(0))
    return replace(learner, model=model)


@pytest.mark.parametrize("strategy", READERS, ids=name_of)
def test_the_highest_scores_are_picked_on_every_task(strategy: Strategy, kind: str, trials: Trials) -> None:
    ctx = replace(trials(kind, strategy).context(), rng=np.random.default_rng(3))
    if kind == "classification":
        varied = tuple(opinionated(each, ctx.candidates, seed) for seed, each in enumerate(ctx.committee))
        ctx = replace(ctx, committee=varied)
    scores = expected_scores(strategy, ctx)
    assert_highest(strategy.select(ctx), ctx.candidates, scores)


@pytest.mark.parametrize("strategy", [each for each in READERS if not isinstance(each, Bald)], ids=name_of)
def test_candidates_may_come_in_batches(strategy: Strategy, trials: Trials) -> None:
    ctx = trials("detection", strategy).context()
    parts = replace(ctx, committee=tuple(replace(each, batch=7) for each in ctx.committee))  # 30: an odd last batch
    assert_highest(strategy.select(parts), ctx.candidates, expected_scores(strategy, ctx))


@pytest.mark.parametrize("strategy", READERS, ids=name_of)
def test_each_model_sees_each_candidate_once(
    strategy: Strategy, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, seen = trials("classification", strategy).context(), []
    read = Pixels.read
    monkeypatch.setattr(Pixels, "read", lambda self, ids: seen.extend(ids) or read(self, ids))
    strategy.select(ctx)
    assert sorted(seen) == sorted([*ctx.candidates] * strategy.committee_size)


def test_on_one_distribution_the_gradient_is_that_of_the_last_layer(trials: Trials) -> None:
    """Settles et al. 2008 by autograd: every label in turn, the length of its gradient, weighted by its probability."""
    ctx = trials("classification", ExpectedGradientLength()).context()
    ((_, outputs),) = ctx.learner.batches(ctx.candidates)
    weight = ctx.learner.model.head.weight.detach().clone().requires_grad_()
    by_hand = []
    for feature in outputs.features[0]:
        losses = -functional.linear(feature, weight, ctx.learner.model.head.bias.detach()).log_softmax(0)
        gradients = [torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in losses]
        probs = (-losses.detach()).exp()
        by_hand.append(sum(float(p * each.norm()) for p, each in zip(probs, gradients, strict=True)))
    assert_highest(ExpectedGradientLength().select(ctx), ctx.candidates, np.array(by_hand))


def test_bald_asks_for_dropout_and_follows_its_generator(trials: Trials) -> None:
    assert Bald(rate=0.3).dropout == 0.3
    trial = trials("classification", Bald())
    first, again, other = (Bald(passes=2).select(trial.context(seed)).scores for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_committee_is_as_large_as_it_has_members() -> None:
    assert [each().committee_size for each in (CommitteeVoteEntropy, CommitteeDisagreement, VariationRatio)] == [
        3,
        3,
        5,
    ]
    assert CommitteeVoteEntropy(members=7).committee_size == 7
    assert VariationRatio.smoke().committee_size == 3


@pytest.mark.parametrize("strategy", COMMITTEES, ids=name_of)
def test_candidates_on_which_all_agree_score_0_and_are_picked_at_random(strategy: Strategy, trials: Trials) -> None:
    ctx = trials("classification", strategy).context()
    ctx = replace(ctx, candidates=ctx.candidates[:12])
    agreeing = (ctx.learner,) * strategy.committee_size
    picks = []
    for seed in range(12):
        found = strategy.select(replace(ctx, committee=agreeing, rng=np.random.default_rng(seed)))
        assert found.scores.tolist() == [0] * ctx.budget
        picks += found.ids.tolist()
    assert set(picks) == set(ctx.candidates.tolist())


@pytest.mark.parametrize(
    ("strategy", "fields"),
    [
        (CommitteeVoteEntropy, {"members": 1}),
        (VariationRatio, {"members": 0}),
        (Bald, {"passes": 1}),
        (Bald, {"rate": 0.0}),
        (Bald, {"rate": 1.0}),
        (Bald, {"members": 3}),
    ],
)
def test_sizes_that_mean_nothing_are_refused(strategy: type[Strategy], fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        strategy(**fields)


def broken(learner: Learner) -> Learner:
    """The same with a head that gives no number."""
    model = copy.deepcopy(learner.model)
    with torch.no_grad():
        for each in model.head.parameters():
            each.fill_(torch.nan)
    return replace(learner, model=model)


@pytest.mark.parametrize("strategy", READERS, ids=name_of)
def test_a_model_that_gives_no_number_is_refused(strategy: Strategy, kind: str, trials: Trials) -> None:
    ctx = trials(kind, strategy).context()
    last = broken(ctx.committee[-1])
    with pytest.raises(SelectionError, match="30 of 30 scores are not a number"):
        strategy.select(replace(ctx, committee=(*ctx.committee[:-1], last)))


def test_true_loss_picks_the_highest_losses(kind: str, trials: Trials) -> None:
    trial = trials(kind, TrueLoss())
    ctx, task = trial.context(), trial.task
    ((_, outputs),) = ctx.learner.batches(ctx.candidates)
    losses = task.unlabeled.losses(outputs.raw, task.targets(ctx.candidates))
    assert_highest(TrueLoss().select(ctx), ctx.candidates, losses.double().numpy())


def test_true_loss_needs_an_oracle(trials: Trials) -> None:
    assert TrueLoss.cheats
    ctx = trials("classification", TrueLoss()).context()
    with pytest.raises(SelectionError, match="no oracle"):
        TrueLoss().select(replace(ctx, oracle=None))
    with pytest.raises(SelectionError, match="30 of 30 scores are not a number"):
        TrueLoss().select(replace(ctx, oracle=lambda ids: torch.full((len(ids),), torch.nan)))
