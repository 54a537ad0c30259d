"""What a strategy sees of a round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lossbench.running.selecting import Choice, selection_context
from strategies.random import Random


class Groups:
    """The part of a task that tells groups; it notes what it was asked."""

    def groups(self, ids: np.ndarray, reference: np.ndarray) -> torch.Tensor:
        self.asked = ids.tolist(), reference.tolist()
        return torch.zeros(len(ids), 1)


@pytest.mark.parametrize(("first", "reference"), [(None, [3, 1, 2]), ([3], [3])])
def test_groups_are_learned_from_the_first_labels(first: list[int] | None, reference: list[int]) -> None:
    task: Any = Groups()
    choice = Choice(np.array([3, 1, 2]), np.array([0, 4]), 1, None if first is None else np.array(first))
    ctx = selection_context(task, Random(), (), choice, np.random.default_rng(0))
    ctx.labeled_groups()
    assert task.asked == ([3, 1, 2], reference)
    assert (ctx.labeled.tolist(), ctx.candidates.tolist(), ctx.budget) == ([3, 1, 2], [0, 4], 1)
