"""Uncertainty of distributions, and disagreement between several predictions. Pure functions; entropies in nats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.base import Posteriors

LEAST_UNCERTAINTY = 1e-6
"""The logarithms of lower means are not told apart."""


def entropy(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """Shannon entropy of each distribution, from 0 to ln k."""
    return torch.special.entr(log_probs.exp()).sum(2)


def least_confidence(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """One minus the largest probability, from 0 to 1 - 1/k."""
    return -torch.expm1(log_probs.amax(2))


def margin(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """The difference of the two largest probabilities, from 0 to 1; 1 if there is only one category."""
    largest, place = log_probs.max(2, keepdim=True)
    second = log_probs.scatter(2, place, -torch.inf).amax(2)  # three times as fast as topk
    return largest.squeeze(2).exp() - second.exp()


def uncertainty_statistics(posteriors: Posteriors) -> Float[Tensor, "n 9"]:
    """How uncertain an image's rows are: three measures, each as mean, as maximum and as logarithm of the mean.

    They are the entropy divided by its largest value, one minus the largest probability, and one minus the margin, from 0 to
    1. Means are weighted by the rows' weight; rows of weight 0 are ignored.
    """
    log_probs, weight = posteriors.log_probs, posteriors.weight.unsqueeze(2)
    measures = (
        entropy(log_probs) / max(math.log(log_probs.shape[2]), 1.0e-6),
        least_confidence(log_probs),
        1 - margin(log_probs),
    )
    rows = torch.where(weight == 0, 0.0, torch.stack(measures, 2))
    means = (weight * rows).sum(1)
    return torch.cat([means, rows.amax(1), means.clamp(min=LEAST_UNCERTAINTY).log()], 1)


def shares_of_lower(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """For each number the share of numbers that are lower or equal, above 0 and up to 1."""
    return torch.searchsorted(values.sort().values, values, right=True) / max(len(values), 1)


def coefficient_of_variation(values: Float[Tensor, " n"]) -> float:
    """The standard deviation of numbers that are at least 0, divided by their mean; 0 where all are 0."""
    mean = float(values.double().mean()) if len(values) else 0.0
    return float(values.double().std(correction=0)) / mean if mean > 0 else 0.0


def disagreement(predictions: Iterable[Posteriors]) -> Float[Tensor, " n"]:
    """Entropy of the mean distribution minus the mean entropy, per image: from 0 (all predictions agree) to ln k.

    This is the mutual information of category and model (Houlsby et al. 2011, eq. 2), the Jensen-Shannon divergence,
    and the mean Kullback-Leibler divergence of the predictions from their mean (McCallum & Nigam 1998).

    Args:
        predictions: at least one, all of the same images and with the same posterior rows. A row has its mean weight
            over the predictions, so that a row with weight in some of them only still counts. They are read one by one,
            and only running means are kept.
    """
    numbered = enumerate(predictions, 1)
    _, prediction = next(numbered)
    probs = prediction.log_probs.exp()
    entropies, weight = torch.special.entr(probs).sum(2), prediction.weight
    for number, prediction in numbered:
        new = prediction.log_probs.exp()
        probs.lerp_(new, 1 / number)  # the mean of equal numbers is exactly that number, which sum / count is not
        entropies = entropies.lerp(torch.special.entr(new).sum(2), 1 / number)
        weight = weight.lerp(prediction.weight, 1 / number)
    information = (torch.special.entr(probs).sum(2) - entropies).clamp(min=0)
    return replace(prediction, weight=weight).pooled(information)


def vote_shares(members: Sequence[Float[Tensor, "n m k"]]) -> Float[Tensor, "c n m"]:
    """For each of c committee members, the share of members with the same vote, from 1/c to 1.

    A member votes for its most probable category; ties are broken in the same way for all members. NaN if a member's
    prediction is NaN.

    Args:
        members: log-probabilities of each member, for the same posterior rows.
    """
    best = [log_probs.max(2) for log_probs in members]
    votes = torch.stack([top.indices for top in best])
    shares = torch.stack([(votes == vote).float().mean(0) for vote in votes])
    unknown = torch.stack([top.values for top in best]).isnan().any(0)
    return shares.masked_fill(unknown, torch.nan)


def vote_entropy(shares: Float[Tensor, "c n m"]) -> Float[Tensor, "n m"]:
    """Entropy of the distribution of a committee's votes, from 0 to ln c.

    A category with v of c votes adds -v/c ln(v/c) to the entropy; here each of its v voters adds -1/c ln(v/c), so that
    the cost does not depend on the number of categories. Equal numbers of votes give equal results whoever casts them:
    the shares are sorted, and added in float64.

    Args:
        shares: the result of `vote_shares`.
    """
    return shares.double().sort(0).values.log_().mean(0).neg().to(shares.dtype)


def variation_ratio(shares: Float[Tensor, "c n m"]) -> Float[Tensor, "n m"]:
    """The share of committee members that do not vote for the most frequent category, from 0 to 1 - 1/c.

    Args:
        shares: the result of `vote_shares`.
    """
    return 1 - shares.amax(0)


def expected_residual(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """Expected norm of the gradient of the cross-entropy in the logits: sum over y of p(y) |p - e_y|, from 0 to 1.

    e_y is the one-hot vector of y, and |p - e_y|^2 is (1 - p(y))^2 plus the squares of the other probabilities. For the
    most probable y it is summed from these other probabilities: the shorter form |p|^2 - 2 p(y) + 1 has a rounding
    error of 2e-4 in float32 where the model is certain.
    """
    probs = log_probs.exp()
    top, category = probs.max(2, keepdim=True)
    others = probs.scatter_(2, category, 0.0)
    squares = others.square().sum(2, keepdim=True)
    most_probable = top * (others.sum(2, keepdim=True).square() + squares).sqrt()
    return most_probable.squeeze(2) + (others * (squares + top.square() + 1 - 2 * others).sqrt()).sum(2)
