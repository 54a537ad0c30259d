"""What a frozen trunk gave for every image: the contract of its store."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from tasks.images.pixels import ArrayIds


@runtime_checkable
class Store(Protocol):
    """What a frozen trunk gave for every image, such as `tasks.models.trunks.frozen.FeatureStore`."""

    @property
    def resident(self) -> bool:
        """Whether all rows are in the memory of the device."""
        ...

    def rows(self, ids: ArrayIds, view: int | ArrayIds = 0) -> Float[Tensor, "n d"]:
        """The rows of some images, seen as they are or, in view 1, mirrored."""
        ...
