"""The hourglass at all its resolutions: what it shows, to whom, and that its outputs are those of a plain forward pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lossnet import DivergenceObjective, ListwiseObjective, MultiScaleLossNet, RankingObjective, RegressionObjective
from tasks.base import Outputs
from tasks.models.hourglass import Hourglass, StackedHourglass
from tasks.models.settings import HourglassSettings

PIXELS, WIDTH = 256, 8


@pytest.fixture(scope="module")
def model() -> StackedHourglass:
    """Two stacks with weights that do not start as the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = StackedHourglass(HourglassSettings(stacks=2, width=WIDTH, depth=4, pixels=PIXELS), 16).eval()
        for weights in made.parameters():
            torch.nn.init.normal_(weights, std=0.2)
    return made


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(1))


def naive(hourglass: Hourglass, maps: Tensor, seen: list[Tensor]) -> Tensor:
    """The output by the definition of Newell et al.; all outputs are kept, the smallest first."""
    down = hourglass.before(functional.max_pool2d(maps, 2))
    if isinstance(hourglass.inner, Hourglass):
        middle = naive(hourglass.inner, down, seen)
    else:
        middle = hourglass.inner(down)
        seen.append(middle)
    up = functional.interpolate(hourglass.after(middle), scale_factor=2, mode="nearest")
    seen.append(hourglass.branch(maps) + up)
    return seen[-1]


@torch.no_grad()
def test_scales_are_the_last_stack_from_64_to_4_cells(model: StackedHourglass) -> None:
    outputs = model(images())
    assert [tuple(scale.shape) for scale in outputs.scales] == [(2, WIDTH, side, side) for side in (64, 32, 16, 8, 4)]
    assert [tuple(tap.shape) for tap in outputs.taps] == [(2, WIDTH, 64, 64)] * 2
    assert torch.equal(model.stacks[-1][1:](outputs.scales[0]), outputs.features[-1])


@torch.no_grad()
def test_outputs_are_those_of_plain_stacks(model: StackedHourglass) -> None:
    maps, features, seen = model.stem(images()), [], []
    for stack, (hourglass, *others) in enumerate(model.stacks):
        seen.clear()
        after = naive(hourglass, maps, seen)
        for part in others:
            after = part(after)
        features.append(after)
        if stack == 0:
            heatmaps = model.head.convolutions[0](after)
            maps = maps + model.back_features[0](after) + model.back_heatmaps[0](heatmaps)
    outputs = model(images())
    for found, expected in zip((*outputs.features, *outputs.scales), (*features, *reversed(seen)), strict=True):
        assert torch.equal(found, expected)
    taps, plain = model.trunk(images())
    assert all(torch.equal(one, other) for one, other in zip((*taps, *plain), outputs.taps * 2, strict=True))


def test_only_who_asks_for_scales_reads_them() -> None:
    taps, scales = (torch.zeros(1),), (torch.ones(1), torch.ones(2))
    shown, none = Outputs(taps, taps, None, scales), Outputs(taps, taps, None)
    for objective in (RankingObjective(), RegressionObjective(), ListwiseObjective(), object(), None):
        assert shown.read_by(objective) is taps
    for objective in (DivergenceObjective(), MultiScaleLossNet([(3, 4, 4)], 4)):
        assert shown.read_by(objective) is scales
        assert none.read_by(objective) is taps


def test_the_module_halves_from_scale_to_scale(model: StackedHourglass) -> None:
    outputs = model(images(1))
    module = DivergenceObjective(width=4).build(outputs.read_by(DivergenceObjective()))
    assert [len(step) for step in module.down] == [1, 1, 1, 1, 2]
    assert module(outputs.scales).shape == (1,)
