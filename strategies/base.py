"""The contract of a selection strategy: it declares what has to be trained for it, and selects images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, field_validator
from torch import Tensor
from torch.nn import functional

from lossbench.errors import LossbenchError
from lossnet import RankingObjective
from strategies.kernels.rows import largest_first
from strategies.parameters import plain
from tasks.base import Ids
from tasks.memory import parts
from tasks.training.learner import Learner
from tasks.training.step import CoTrained

MOST_MODELS = 100
"""Of a committee."""
Kind = Literal["baseline", "uncertainty", "diversity", "hybrid", "loss prediction", "adversarial", "reference"]
"""The criterion of a strategy: model uncertainty, coverage of the pool, both (hybrid), a predicted loss, an
adversary."""


class SelectionError(LossbenchError):
    """A strategy cannot select, or its selection is not as many distinct candidates as the budget."""


class Selection(NamedTuple):
    """The images that a strategy picked."""

    ids: Ids
    """In the order of picking; as many as the budget."""
    scores: Float[Tensor, " k"] | None = None
    """The score of each pick, larger is picked sooner; None for strategies without such a number."""


@dataclass(frozen=True)
class Oracle:
    """What only a strategy with `cheats` may ask: answers that use the labels of candidates and of held-out images."""

    losses: Callable[[Ids], Float[Tensor, " n"]]
    """Gives the true losses of any images."""
    score_after: Callable[[Ids], float]
    """Trains a model on the labeled images and these, and gives the task's metric on held-out images; larger is better.

    Raises a SelectionError where no model can be trained.
    """


@dataclass(frozen=True)
class Context:
    """All that a strategy may read in one round. The labels of the candidates are not part of it."""

    budget: int
    labeled: Ids
    candidates: Ids
    """Sorted pool positions, none of them labeled."""
    committee: tuple[Learner, ...]
    """As many trained models as `committee_size`; the first is the one that is evaluated."""
    rng: np.random.Generator
    labeled_groups: Callable[[], Bool[Tensor, "l g"]]
    """Gives the groups (class, classes present, pose cluster) of each labeled image, in the order of `labeled`."""
    oracle: Oracle | None = None
    """Only for a strategy with `cheats`, else None."""

    def __post_init__(self) -> None:
        if self.budget > len(self.candidates):
            msg = f"{self.budget} images are to be picked, and there are {len(self.candidates)} candidates"
            raise SelectionError(msg)

    @property
    def learner(self) -> Learner:
        """The first of the committee: the learner that is evaluated."""
        return self.committee[0]

    def images(self, ids: Ids, size: int) -> Float[Tensor, "n 3 size size"]:
        """Normalized images without augmentation, resized to `size` pixels a side, for a strategy's own networks."""
        images = self.learner.task.images(ids)
        if images.shape[-1] == size:
            return images
        return functional.interpolate(images, (size, size), mode="bilinear", antialias=True)

    def pick(self, rows: Int[Tensor, " k"], scores: Float[Tensor, " k"] | None = None) -> Selection:
        """The selection of the candidates at these indices.

        Args:
            rows: indices into `candidates`, in the order of picking.
            scores: of the picks, larger is picked sooner; None for strategies without such a number.
        """
        return Selection(self.candidates[rows.cpu().numpy()], None if scores is None else scores.cpu())

    def narrowed(self, most: int) -> Context:
        """The same context with a random subset of at most `most` candidates, but at least as many as the budget."""
        count = max(most, self.budget)
        if len(self.candidates) <= count:
            return self
        return replace(self, candidates=np.sort(self.rng.choice(self.candidates, count, replace=False)))


class Strategy(BaseModel, ABC):
    """A selection strategy: its hyper-parameters, what has to be trained for it, and `select`.

    `select` depends on the context and its `rng` only: a strategy stores nothing between rounds, and does not change
    the learners.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    name: ClassVar[str]
    """The name in records and on the command line: lower case with hyphens."""
    paper: ClassVar[str]
    """Authors and year."""
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = ""
    """What it reads from the context: posteriors, embeddings, images, ..."""
    cost: ClassVar[str] = ""
    """Operations after the forward pass, in N candidates, L labeled, K picks, D embedding size, C categories, T
    passes."""
    needs_lossnet: ClassVar[bool] = False
    """Whether it reads `learner.lossnet`, the shared loss-prediction module."""
    cold_start: ClassVar[bool] = False
    """Whether it can pick before anything is labeled, with a pretrained trunk and a head that is not trained."""
    cheats: ClassVar[bool] = False
    """Whether it asks the context's oracle; such a strategy is a reference and not ranked."""

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: object, field: Any) -> object:  # a ValidationInfo, which tests cannot check at run time
        """No strategy takes NaN, a number without end, or `true` as a number, whatever bounds it gives."""
        return plain(value, cls.model_fields[str(field.field_name)].annotation)

    def auxiliary(self, objective: RankingObjective) -> CoTrained | None:  # noqa: ARG002
        """The strategy's own module, to be trained together with the model, or None; `learner.auxiliary` once trained.

        Args:
            objective: of the shared LossNet under this protocol; a strategy may reuse its weight, detach point and
                taps.
        """
        return None

    @property
    def committee_size(self) -> int:
        """The number of models it needs; they differ in initial weights and order of training images only."""
        return 1

    @property
    def dropout(self) -> float:
        """Dropout rate on the head's input; in the native track the model is also trained with it."""
        return 0.0

    @property
    def needs(self) -> str:
        """What the strategy reads, and what has to be trained for it besides one model."""
        extra = {
            "lossnet": self.needs_lossnet,
            "an auxiliary module": type(self).auxiliary is not Strategy.auxiliary,
            f"{self.committee_size} models": self.committee_size > 1,
        }
        return ", ".join([self.reads, *(name for name, needed in extra.items() if needed)])

    @abstractmethod
    def select(self, ctx: Context) -> Selection:
        """Pick as many candidates as the budget, the most informative first."""

    @classmethod
    def smoke(cls) -> Strategy:
        """The same algorithm with hyper-parameters that make it fast enough for the contract tests."""
        return cls()


def highest(ctx: Context, scores: Float[Tensor, " n"]) -> Selection:
    """The candidates with the highest scores.

    Ties are broken at random, because the pool may be sorted, for example by class.

    Raises:
        SelectionError: a score is NaN.
    """
    if torch.isnan(scores).any():
        msg = f"NaN in {int(torch.isnan(scores).sum())} of {len(scores)} scores"
        raise SelectionError(msg)
    with ctx.learner.clock.phase("pick"):
        rows = largest_first(scores, torch.from_numpy(ctx.rng.permutation(len(scores))).to(scores.device), ctx.budget)
        return ctx.pick(rows, scores[rows])


def finite(values: Tensor, what: str) -> Tensor:
    """The values, unchanged, after a check that all are finite: NaN would lead to arbitrary picks.

    Args:
        values: any tensor.
        what: the name of the values in the error message.

    Raises:
        SelectionError: a value is infinite or NaN.
    """
    bad = sum(int((~torch.isfinite(part)).sum()) for part in parts(values))
    if bad:
        msg = f"{bad} of {values.numel()} numbers of the {what} are not finite"
        raise SelectionError(msg)
    return values


def unit_embeddings(ctx: Context, ids: Ids) -> Float[Tensor, "n d"]:
    """The embeddings of these images, scaled to length 1; an embedding of 0 stays 0.

    Raises:
        SelectionError: an embedding is not finite.
    """
    return unit_rows(finite(ctx.learner.embeddings(ids), "embeddings"))


def unit_rows(points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The same points, scaled to length 1 in place; a point of 0 stays 0."""
    for part in parts(points):
        part.div_(part.norm(dim=1, keepdim=True).clamp_(min=torch.finfo(points.dtype).tiny))
    return points
