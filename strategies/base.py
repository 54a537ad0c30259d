"""The contract of a selection strategy: declare what it needs trained, and pick."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torchvision.transforms.v2 import functional as pictures

from lossbench.errors import LossbenchError
from lossnet import RankingObjective
from tasks.base import Ids
from tasks.training.learner import Learner
from tasks.training.loop import CoTrained

Kind = Literal["baseline", "uncertainty", "diversity", "hybrid", "loss prediction", "adversarial", "reference"]
"""What a strategy goes by: how unsure the model is, what is not yet covered, both, a predicted loss, an adversary."""


class SelectionError(LossbenchError):
    """A strategy did not pick as many distinct candidates as the budget says."""


class Selection(NamedTuple):
    """What a strategy picked."""

    ids: Ids
    """In the order of picking, as many as the budget."""
    scores: Float[Tensor, " k"] | None = None
    """Why: larger is sooner. Not every strategy has such a number."""


@dataclass(frozen=True)
class Context:
    """All that a strategy may see: one round, without the labels of the candidates."""

    budget: int
    labeled: Ids
    candidates: Ids
    """Sorted pool positions, none of them labeled."""
    committee: tuple[Learner, ...]
    """As many as `committee_size`; the first is the learner that is evaluated."""
    rng: np.random.Generator
    labeled_groups: Callable[[], Bool[Tensor, "l g"]]
    """Groups (classes, classes present, pose clusters) of `labeled`, in its order."""
    oracle: Callable[[Ids], Float[Tensor, " n"]] | None = None
    """True losses of any images; only for a strategy that `cheats`."""

    def __post_init__(self) -> None:
        if self.budget > len(self.candidates):
            msg = f"{self.budget} images are to be picked, and there are {len(self.candidates)} candidates"
            raise SelectionError(msg)

    @property
    def learner(self) -> Learner:
        """The learner that is evaluated."""
        return self.committee[0]

    def images(self, ids: Ids, size: int) -> Float[Tensor, "n 3 size size"]:
        """Test-time images, normalised, scaled to a side of so many pixels: for a strategy's own networks."""
        images = self.learner.task.images(ids)
        return images if images.shape[-1] == size else pictures.resize(images, [size, size], antialias=True)

    def pick(self, rows: Int[Tensor, " k"], scores: Float[Tensor, " k"] | None = None) -> Selection:
        """The candidates in these rows.

        Args:
            rows: positions in `candidates`, in the order of picking.
            scores: of the picks, larger is sooner; None where there is no such number.
        """
        return Selection(self.candidates[rows.cpu().numpy()], None if scores is None else scores.cpu())

    def narrowed(self, most: int) -> Context:
        """The same with a random subset of so many candidates, or as many as the budget where that is more."""
        wanted = max(most, self.budget)
        if len(self.candidates) <= wanted:
            return self
        return replace(self, candidates=np.sort(self.rng.choice(self.candidates, wanted, replace=False)))


class Strategy(BaseModel, ABC):
    """Its hyper-parameters, what it needs trained, and `select`. It keeps nothing from one round to the next.

    `select` is a function of the context and its `rng`, and leaves the learners as it found them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    """As records and the command line call it: lower case, hyphens."""
    paper: ClassVar[str]
    """Authors and year."""
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = ""
    """What it asks of the context, in the context's words: posteriors, embeddings, images."""
    cost: ClassVar[str] = ""
    """After the forward pass, in N candidates, L labeled, K picks, D embedding, C categories, T passes."""
    needs_lossnet: ClassVar[bool] = False
    """Whether it reads `learner.lossnet`."""
    cheats: ClassVar[bool] = False
    """Whether it reads true losses of candidates; it is then kept off the ranking."""

    def auxiliary(self, objective: RankingObjective) -> CoTrained | None:  # noqa: ARG002
        """What is to be trained beside the model; trained, it is `learner.auxiliary`.

        Args:
            objective: that of the shared LossNet under the protocol, whose weight, detach point and taps may be taken over.
        """
        return None

    @property
    def committee_size(self) -> int:
        """How many models it needs, trained alike from different weights and orders."""
        return 1

    @property
    def dropout(self) -> float:
        """Rate of dropout on the head's input; in the native track the model also trains with it."""
        return 0.0

    @property
    def needs(self) -> str:
        """What it reads, and what has to be trained for it besides one model."""
        trained = {
            "lossnet": self.needs_lossnet,
            "a module of its own beside the model": type(self).auxiliary is not Strategy.auxiliary,
            f"{self.committee_size} models": self.committee_size > 1,
        }
        return ", ".join([self.reads, *(what for what, needed in trained.items() if needed)])

    @abstractmethod
    def select(self, ctx: Context) -> Selection:
        """As many of the candidates as the budget says, the most wanted first."""

    @classmethod
    def smoke(cls) -> Strategy:
        """The same algorithm at sizes that a contract test can afford."""
        return cls()


def highest(ctx: Context, scores: Float[Tensor, " n"]) -> Selection:
    """The candidates with the highest scores; of equal ones, a random choice, for the order of a pool may mean something.

    Raises:
        SelectionError: a score is not a number.
    """
    if torch.isnan(scores).any():
        msg = f"{int(torch.isnan(scores).sum())} of {len(scores)} scores are not a number"
        raise SelectionError(msg)
    with ctx.learner.clock.phase("pick"):
        shuffled = torch.from_numpy(ctx.rng.permutation(len(scores))).to(scores.device)
        best = scores[shuffled].sort(descending=True, stable=True)
        return ctx.pick(shuffled[best.indices[: ctx.budget]], best.values[: ctx.budget])


def finite(values: Tensor, what: str) -> Tensor:
    """The values themselves, checked before an algorithm would turn them into arbitrary picks.

    Raises:
        SelectionError: one of them is infinite or not a number.
    """
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        msg = f"{bad} of {values.numel()} numbers of the {what} are not finite"
        raise SelectionError(msg)
    return values


def unit_embeddings(ctx: Context, ids: Ids) -> Float[Tensor, "n d"]:
    """One vector of length 1 per image; of length 0 where the embedding is 0.

    Raises:
        SelectionError: a number of an embedding is not finite.
    """
    points = finite(ctx.learner.embeddings(ids), "embeddings")
    return points.div_(points.norm(dim=1, keepdim=True).clamp_(min=torch.finfo(points.dtype).tiny))
