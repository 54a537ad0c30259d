"""Dropout at the one place where a method can repeat only what follows it: the input of a model's head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.base import Features
from tasks.training.processes.parallel import Part


@dataclass(frozen=True)
class Dropout:
    """Sets each channel of each image to zero with a probability, and scales the others up (Srivastava et al. 2014).

    In a vector that is ordinary dropout; in a map the whole channel goes (Tompson et al. 2015), because neighbors in a
    map tell the same and would stand in for each other.

    Args:
        rate: the probability, in [0, 1).
    """

    rate: float
    generator: torch.Generator

    @classmethod
    def of(cls, rate: float, rng: np.random.Generator, device: torch.device) -> Dropout:
        """Dropout whose masks follow from `rng`, drawn on the device."""
        return cls(rate, torch.Generator(device).manual_seed(int(rng.integers(2**63))))

    def __call__(self, features: Features, part: Part | None = None) -> Features:
        """The features (n c ...) under a new mask.

        Args:
            features: of a batch, or of a part of it.
            part: which part; masks are drawn for the whole batch.
        """
        return tuple(each * self._mask(each, part) for each in features)

    def _mask(self, feature: Tensor, part: Part | None) -> Tensor:
        images, rows = (part.whole, part.rows) if part else (len(feature), slice(None))
        shape = (images, feature.shape[1], *[1] * (feature.ndim - 2))
        kept = torch.rand(shape, generator=self.generator, device=feature.device)[rows] >= self.rate
        return kept.to(feature.dtype) / (1 - self.rate)
