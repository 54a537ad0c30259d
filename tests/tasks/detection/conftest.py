"""A small SSD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # this file is read by the process that only hands out tests, too
    from torch import Tensor

    from tasks.models.ssd import Ssd


@pytest.fixture(scope="module")
def ssd() -> Ssd:
    import torch
    from ssd_examples import CLASSES, SMALL

    from tasks.models.ssd import build_ssd

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_ssd(SMALL, CLASSES).eval()


@pytest.fixture(scope="module")
def anchors(ssd: Ssd) -> Tensor:
    return ssd.anchors(64)
