"""BoSS: the best of many batches that other strategies propose, known by training on each."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, Field

from strategies.alfa_mix import AlfaMix
from strategies.badge import Badge
from strategies.bait import Bait
from strategies.base import Context, Kind, Selection, SelectionError, Strategy
from strategies.core_set import CoreSet
from strategies.dropquery import DropQuery
from strategies.margin import Margin
from strategies.random import Random
from strategies.typiclust import TypiClust
from tasks.base import Ids
from tasks.settings import MOST_IMAGES, Distinct, Whole

MEMBERS: dict[str, type[Strategy]] = {
    member.name: member for member in (Random, Margin, CoreSet, Badge, Bait, TypiClust, AlfaMix, DropQuery)
}
"""Who may propose: strategies that need neither a committee nor a network of their own."""


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in MEMBERS:
            msg = f"{name!r} proposes no batches; {', '.join(MEMBERS)} can"
            raise ValueError(msg)
    return names


class BoSS(Strategy):
    """Picks the batch after which the retrained model is best on held-out labels (Huseljic et al. 2026).

    A reference, not a strategy: it reads the labels of candidates and of the validation slice, and says how much better picks
    can be than those of the best entry. Every batch comes from a strategy that is drawn at random, all equally likely, and
    that sees a random part of the candidates where there are more than `subset`, so that batches of one strategy differ.

    Costs as many trainings per round as there are batches: for frozen trunks, where a training takes about a second.

    Differs from the paper in that models are compared on the validation slice; its authors' code does so on the test images, on
    which the scores of all strategies are measured here.
    Differs from the paper in that eight strategies propose; two further ones of its authors draw by the true classes.
    """

    name: ClassVar[str] = "boss"
    paper: ClassVar[str] = "Huseljic et al. 2026"
    kind: ClassVar[Kind] = "reference"
    reads: ClassVar[str] = "labels of candidates and of the validation slice"
    cost: ClassVar[str] = "T trainings, and T / 8 selections of each of 8 strategies, from 2,500 candidates each"
    cheats: ClassVar[bool] = True

    batches: Whole = Field(default=100, ge=1, le=10_000)
    """How many are tried (authors' code)."""
    subset: Whole = Field(default=2500, ge=1, le=MOST_IMAGES)
    """How many candidates a strategy sees, drawn anew for each batch (authors' code); at least as many as the budget."""
    members: Annotated[tuple[str, ...], Field(min_length=1), Distinct, AfterValidator(_known)] = tuple(MEMBERS)
    """Who proposes."""

    def select(self, ctx: Context) -> Selection:
        """Pick the best batch, the first of equals; without scores.

        Raises:
            SelectionError: the context has no oracle, or one that cannot train.
        """
        if ctx.oracle is None:
            msg = "boss reads the labels of candidates, and this context has no oracle"
            raise SelectionError(msg)
        drawn = ctx.rng.integers(0, len(self.members), self.batches).tolist()
        tried = [self._batch(ctx, self.members[number]) for number in drawn]
        scores: dict[bytes, float] = {}
        for ids in tried:
            if ids.tobytes() not in scores:  # where all candidates are seen, some propose the same each time
                scores[ids.tobytes()] = ctx.oracle.score_after(ids)
        return Selection(tried[int(np.argmax([scores[ids.tobytes()] for ids in tried]))])

    def _batch(self, ctx: Context, member: str) -> Ids:
        """What one of the strategies would pick."""
        return MEMBERS[member]().select(replace(ctx.narrowed(self.subset), oracle=None)).ids

    @classmethod
    def smoke(cls) -> BoSS:
        """Four batches of three quick strategies."""
        return cls(batches=4, members=("random", "margin", "badge"))
