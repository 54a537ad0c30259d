"""Strategies that read posteriors: which candidates they pick, and what they refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_information import entropies, exact, mutual_information, residuals, vote_counts
from pydantic import ValidationError
from torch.nn import functional

from lossbench.submissions.conformance import Trial
from strategies import Context, Selection, SelectionError, Strategy
from strategies.bald import Bald
from strategies.base import Oracle
from strategies.committee import CommitteeDisagreement, CommitteeVoteEntropy, VariationRatio
from strategies.gradient_length import ExpectedGradientLength
from strategies.least_confidence import LeastConfidence
from strategies.margin import Margin
from strategies.true_loss import TrueLoss
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


def name_of(value: object) -> str | None:
    return getattr(value, "name", None)


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
    with pytest.raises(SelectionError, match="NaN in 30 of 30 scores"):
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
    with pytest.raises(SelectionError, match="NaN in 30 of 30 scores"):
        TrueLoss().select(replace(ctx, oracle=Oracle(lambda ids: torch.full((len(ids),), torch.nan), float)))
