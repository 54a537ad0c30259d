"""What a learner reads of a pool in one pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tiny_learners import MakeLearner

from tasks.base import Outputs


def test_one_pass_gives_rows_of_all_values_in_the_order_of_the_ids(kind: str, trained: MakeLearner) -> None:
    learner = replace(trained(kind), batch=4)
    ids = np.array([9, 2, 7, 3, 0, 5, 8, 1, 6, 4])  # the last batch is smaller

    def read(outputs: Outputs) -> tuple[torch.Tensor, torch.Tensor]:
        return learner.task.embed(outputs), learner.task.posteriors(outputs.raw).weight

    found = learner.map_all(ids, read)
    parts = [read(outputs) for _, outputs in learner.batches(ids)]
    for whole, batches in zip(found, zip(*parts, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(batches))
    assert torch.equal(learner.embeddings(ids), found[0])
    assert not found[0].requires_grad
