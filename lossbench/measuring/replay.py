"""A learner for pools that are larger than the data: it derives the outputs of any number of images from a few real ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from tasks.base import Features, Ids, Outputs
from tasks.training.learner import Learner

BANK_IMAGES = 128
"""How many real images a bank holds."""
JITTER = 0.1
"""Standard deviation of the random factors by which two copies of an image differ."""


@dataclass(frozen=True)
class OutputBank:
    """Stored outputs of a few real images, from which outputs of any number of images are derived without the trunk.

    The features, taps and scales of a derived image are those of a stored image with every channel multiplied by a random factor
    near 1; its raw output is computed by the head. No two images are equal, and sizes and costs are realistic.
    """

    learner: Learner
    """The learner that computed the stored outputs; its task accepts any id from 0 on."""
    taps: tuple[Tensor, ...]
    features: Features
    scales: tuple[Tensor, ...]

    @classmethod
    def of(cls, learner: Learner) -> OutputBank:
        """Store the outputs of the first `BANK_IMAGES` images of a learner's pool; a smaller pool is repeated."""
        repeating = replace(learner, task=learner.task.repeated())
        batches = [outputs for _, outputs in repeating.batches(np.arange(BANK_IMAGES))]
        taps, features, scales = (
            tuple(torch.cat(parts) for parts in zip(*(getattr(batch, name) for batch in batches), strict=True))
            for name in ("taps", "features", "scales")
        )
        return cls(repeating, taps, features, scales)

    def outputs(self, ids: Ids) -> Outputs:
        """Derived outputs of a batch; a function of its ids alone."""
        rows = torch.from_numpy(ids % len(self.taps[0])).to(self.taps[0].device)
        generator = torch.Generator(rows.device).manual_seed(int(ids[0]))

        def jittered(stored: Tensor) -> Tensor:
            shape = (len(rows), stored.shape[1], *[1] * (stored.ndim - 2))
            return stored[rows] * (1 + JITTER * torch.randn(shape, generator=generator, device=rows.device))

        features = tuple(jittered(stored) for stored in self.features)
        with torch.no_grad():
            raw = self.learner.model.head(*features)
        taps, scales = (tuple(jittered(stored) for stored in maps) for maps in (self.taps, self.scales))
        return Outputs(taps, features, raw, scales)

    def replay(self) -> ReplayLearner:
        """A learner whose outputs come from this bank."""
        one = self.learner
        fields = (one.task, one.model, one.lossnet, one.auxiliary, one.precision, one.batch, one.clock)
        return ReplayLearner(*fields, bank=self)


@dataclass(frozen=True)
class ReplayLearner(Learner):
    """A learner whose outputs come from a bank. It counts the forward passes that a real learner would make."""

    bank: OutputBank = field(kw_only=True)
    forwarded: list[int] = field(default_factory=list)
    """Number of images of each batch."""

    def _outputs(self, ids: Ids) -> Outputs:
        """Derived outputs; deriving them is timed as the phase `replay`."""
        self.forwarded.append(len(ids))
        with self.clock.phase("replay"):
            return self.bank.outputs(ids)
