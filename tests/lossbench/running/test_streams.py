"""Random streams: one per purpose, and torch's global generator left alone."""

from __future__ import annotations

import pytest
import torch

from lossbench.running.streams import stream
from tasks.training.seeding import seeded


def test_each_purpose_has_its_own_stream() -> None:
    purposes = [(0, "select", 1), (0, "select", 11), (0, "select", "1"), (0, "select"), (0, "subset", 1)]
    purposes += [(1, "select", 1), (-1, "select", 1), (0, "weights", 1, 12), (0, "weights", 11, 2)]
    draws = [stream(*purpose).random(4).tolist() for purpose in purposes]
    assert len({tuple(each) for each in draws}) == len(purposes)
    assert draws == [stream(*purpose).random(4).tolist() for purpose in purposes]


def test_torchs_generator_is_seeded_inside_a_block_only() -> None:
    before = torch.get_rng_state()
    with seeded(stream(0, "weights")):
        one = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(stream(0, "weights")):
        assert torch.equal(torch.rand(3), one)
    with pytest.raises(ZeroDivisionError), seeded(stream(0, "weights")):
        _ = torch.rand(3) / (1 // 0)
    assert torch.equal(torch.get_rng_state(), before)
