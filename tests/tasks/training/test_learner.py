"""What a learner reads of a pool in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_learners import MakeLearner
from torch import nn

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


def test_a_function_of_no_image_has_no_shape(kind: str, trained: MakeLearner) -> None:
    with pytest.raises(ValueError, match="ask for one image at least"):
        trained(kind).map(np.zeros(0, np.int64), lambda outputs: outputs.raw)


class Halving(nn.Module):
    """Gives two numbers per image, of which the first is the predicted loss."""

    def forward(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        means = taps[0].flatten(1).mean(1)
        return torch.stack([means, -means], 1)

    def predict_losses(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        return self(taps)[:, 0]


def test_a_module_predicts_losses_by_its_own_method(kind: str, trained: MakeLearner) -> None:
    module, learner = Halving(), trained(kind)
    found = replace(learner, auxiliary=module).predicted_losses(module, np.arange(5))
    _, outputs = next(learner.batches(np.arange(5)))
    torch.testing.assert_close(found, module.predict_losses(outputs.taps))
