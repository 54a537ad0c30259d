"""Raw outputs of any kind of task, part by part."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

SOME = np.array([3, 40, 7, 66, 12, 59, 0])
"""Images of the pool and test images of a tiny task, in no order."""


def parts(raw: Any) -> tuple[Tensor, ...]:
    """Its tensors."""
    return (raw,) if isinstance(raw, Tensor) else tuple(raw)


def rows(raw: Any, which: slice) -> Any:
    """The raw output of some of the images."""
    return raw[which] if isinstance(raw, Tensor) else type(raw)(*(part[which] for part in raw))


def equal(one: Any, other: Any) -> bool:
    """Whether two are the same, bit for bit."""
    return all(torch.equal(left, right) for left, right in zip(parts(one), parts(other), strict=True))
