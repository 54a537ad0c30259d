"""A task whose training batches are made on the device."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from tasks.base import Ids, Raw, Target, Task

Drawn = tuple[Any, ...]
"""Arrays or tensors, with images along the first dimension."""


class DeviceTask(Task[Raw, Target]):
    """A task whose batches are made on the device, from a few numbers per image that are drawn beforehand.

    So the numbers of a whole epoch can travel at once, and nothing of a training step waits for the processor.
    """

    @abstractmethod
    def drawn(self, ids: Ids, rng: np.random.Generator, *, padded: bool = False) -> Drawn:
        """The ids, what is random about their augmentation, and their labels.

        Args:
            ids: of the batch.
            rng: the only source of randomness.
            padded: give arrays whose shapes depend on the number of images alone.
        """

    @abstractmethod
    def batch(self, drawn: Drawn) -> tuple[Float[Tensor, "n ..."], Target]:
        """Inputs of the model, and their targets, from arrays or tensors as `drawn` gives them."""

    def augmented(self, ids: Ids, rng: np.random.Generator) -> tuple[Float[Tensor, "n ..."], Target]:
        """Inputs of the model for randomly augmented images, and their targets."""
        return self.batch(self.drawn(ids, rng))
