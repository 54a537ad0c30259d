"""A learner for pools larger than the data: its outputs are made from those of a few real images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from tasks.base import Features, Ids, Outputs
from tasks.training.learner import Learner

BANK_IMAGES = 128
"""Real images from whose outputs those of larger pools are made."""
JITTER = 0.1
"""Standard deviation of the factors that tell repeated images apart."""


@dataclass(frozen=True)
class Bank:
    """Outputs of a few real images, from which those of any number of images are made without a trunk's forward pass.

    Features and taps of an image are those of one of the bank, each channel times its own random factor near 1; the raw
    output is what the head makes of them. So no two images are equal, and sizes and costs are the real ones.
    """

    learner: Learner
    taps: tuple[Tensor, ...]
    features: Features

    @classmethod
    def of(cls, learner: Learner) -> Bank:
        """The first images of the pool, again and again where it is smaller."""
        endless = replace(learner, task=learner.task.repeated())
        parts = [outputs for _, outputs in endless.batches(np.arange(BANK_IMAGES))]
        taps, features = (
            tuple(torch.cat(each) for each in zip(*(getattr(part, name) for part in parts), strict=True))
            for name in ("taps", "features")
        )
        return cls(endless, taps, features)

    def outputs(self, ids: Ids) -> Outputs:
        """Outputs for these ids, a function of the ids alone."""
        rows = torch.from_numpy(ids % len(self.taps[0])).to(self.taps[0].device)
        generator = torch.Generator(rows.device).manual_seed(int(ids[0]))

        def shaken(stored: Tensor) -> Tensor:
            shape = (len(rows), stored.shape[1], *[1] * (stored.ndim - 2))
            return stored[rows] * (1 + JITTER * torch.randn(shape, generator=generator, device=rows.device))

        features = tuple(shaken(each) for each in self.features)
        with torch.no_grad():
            raw = self.learner.model.head(*features)
        return Outputs(tuple(shaken(each) for each in self.taps), features, raw)

    def replay(self) -> Replay:
        """A learner that answers from this bank for any id."""
        one = self.learner
        parts = (one.task, one.model, one.lossnet, one.auxiliary, one.precision, one.batch, one.clock)
        return Replay(*parts, bank=self)


@dataclass(frozen=True)
class Replay(Learner):
    """A learner that answers from a bank. Its forward passes are counted; what takes their place is timed apart."""

    bank: Bank = field(kw_only=True)
    forwarded: list[int] = field(default_factory=list)
    """Images of each forward pass that was asked for."""

    def batches(self, ids: Ids) -> Iterator[tuple[Ids, Outputs]]:
        """Outputs of consecutive images, made by the bank."""
        self.forwarded.append(len(ids))
        for start in range(0, len(ids), self.batch):
            part = ids[start : start + self.batch]
            with self.clock.phase("replay"):
                outputs = self.bank.outputs(part)
            yield part, outputs
