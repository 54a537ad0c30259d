"""How uncertain distributions are, and how far several predictions disagree. Pure functions; nats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.base import Posteriors


def entropy(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """Shannon entropy of each distribution, from 0 to ln k."""
    return torch.special.entr(log_probs.exp()).sum(2)


def least_confidence(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """What the likeliest category lacks to 1, from 0 to 1 - 1/k."""
    return -torch.expm1(log_probs.amax(2))


def margin(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """By how much the likeliest category exceeds the second, from 0 to 1; 1 where there is one category only."""
    top = log_probs.topk(min(2, log_probs.shape[2]), 2).values.exp()
    return top[..., 0] - top[..., 1:].sum(2)


def disagreement(predictions: Iterable[Posteriors]) -> Float[Tensor, " n"]:
    """Entropy of the mean distribution less the mean entropy, per image: from 0, where all agree, to ln k.

    That is the mutual information of category and model (Houlsby et al. 2011, eq. 2), the Jensen-Shannon divergence, and
    the mean Kullback-Leibler divergence of the predictions from their mean (McCallum & Nigam 1998).

    Args:
        predictions: of the same images, at least one, in which a row means the same; it counts with its mean weight, so
            that one which only some predictions count is not lost. Read one by one: running means are all that is held.
    """
    numbered = enumerate(predictions, 1)
    _, each = next(numbered)
    probs = each.log_probs.exp()
    entropies, weight = torch.special.entr(probs).sum(2), each.weight
    for number, each in numbered:
        new = each.log_probs.exp()
        probs.lerp_(new, 1 / number)  # a mean of equal numbers is that number, which sum / count need not be
        entropies = entropies.lerp(torch.special.entr(new).sum(2), 1 / number)
        weight = weight.lerp(each.weight, 1 / number)
    rows = (torch.special.entr(probs).sum(2) - entropies).clamp(min=0)
    return replace(each, weight=weight).pooled(rows)


def vote_shares(members: Sequence[Float[Tensor, "n m k"]]) -> Float[Tensor, "c n m"]:
    """The share of a committee that votes as each of its c members does, from 1/c to 1.

    A vote is the likeliest category; of equal ones, the same for all. Not a number where a member's prediction is none.

    Args:
        members: their log-probabilities of the same rows.
    """
    best = [log_probs.max(2) for log_probs in members]
    votes = torch.stack([each.indices for each in best])
    shares = torch.stack([(votes == vote).float().mean(0) for vote in votes])
    unknown = torch.stack([each.values for each in best]).isnan().any(0)
    return shares.masked_fill(unknown, torch.nan)


def vote_entropy(shares: Float[Tensor, "c n m"]) -> Float[Tensor, "n m"]:
    """Entropy of the votes of a committee, from 0 to ln c.

    A category with v of c votes adds -v/c ln(v/c): each of its v voters -1/c ln(v/c), whatever the number of categories.
    """
    return shares.log().mean(0).neg()


def variation_ratio(shares: Float[Tensor, "c n m"]) -> Float[Tensor, "n m"]:
    """The share of a committee that does not vote with the most, from 0 to 1 - 1/c."""
    return 1 - shares.amax(0)


def expected_residual(log_probs: Float[Tensor, "n m k"]) -> Float[Tensor, "n m"]:
    """Expected length of the gradient of the cross-entropy in the logits: sum over y of p(y) |p - e_y|, from 0 to 1.

    |p - e_y|^2 is (1 - p(y))^2 plus the squares of the others. For the likeliest y it is summed from those others: the
    shorter |p|^2 - 2 p(y) + 1 would leave 2e-4 of rounding where the model is sure, in float32.
    """
    probs = log_probs.exp()
    top, place = probs.max(2, keepdim=True)
    others = probs.scatter_(2, place, 0.0)
    squares = others.square().sum(2, keepdim=True)
    likeliest = top * (others.sum(2, keepdim=True).square() + squares).sqrt()
    return likeliest.squeeze(2) + (others * (squares + top.square() + 1 - 2 * others).sqrt()).sum(2)
