"""Taps of foreign models by hooks: their order, their refills, and that no hook stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from lossnet import hooked_taps

IMAGES = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).view(2, 3, 32, 32) / 3000
STAGES = ["layer1", "layer2", "layer3", "layer4"]


@pytest.fixture(scope="module")
def foreign() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return resnet18(num_classes=4).eval()


def hooks(model: nn.Module) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.modules())


def test_taps_come_in_the_order_of_their_names(foreign: nn.Module) -> None:
    with torch.no_grad(), hooked_taps(foreign, STAGES) as found:
        foreign(IMAGES)
        assert [tap.shape[1] for tap in found] == [64, 128, 256, 512]
    with torch.no_grad(), hooked_taps(foreign, ["fc", "layer4.1.bn2", "layer1"]) as found:
        logits = foreign(IMAGES)
        assert [tap.shape[1] for tap in found] == [4, 512, 64]
        assert torch.equal(found[0], logits)


def test_every_pass_refills_the_taps(foreign: nn.Module) -> None:
    with torch.no_grad(), hooked_taps(foreign, STAGES) as found:
        foreign(IMAGES)
        first = list(found)
        foreign(IMAGES + 1)
        assert len(found) == 4
        assert not any(torch.equal(one, other) for one, other in zip(first, found, strict=True))
        foreign(IMAGES)
        assert all(torch.equal(one, other) for one, other in zip(first, found, strict=True))


def test_hooks_are_gone_after_the_block_and_after_an_error(foreign: nn.Module) -> None:
    with hooked_taps(foreign, STAGES):
        assert hooks(foreign) == 5
    assert hooks(foreign) == 0
    with pytest.raises(ZeroDivisionError), hooked_taps(foreign, STAGES):
        raise ZeroDivisionError
    assert hooks(foreign) == 0


def test_an_unknown_name_is_refused_and_leaves_no_hook(foreign: nn.Module) -> None:
    with pytest.raises(AttributeError, match="layer9"), hooked_taps(foreign, ["layer1", "layer9"]):
        pass
    assert hooks(foreign) == 0


class Twice(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


def test_a_tap_that_is_no_tensor_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), Twice())
    with hooked_taps(model, ["0", "1"]), pytest.raises(TypeError, match="'1' is a tuple"):
        model(IMAGES)


def test_a_name_given_twice_is_a_tap_twice() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with hooked_taps(model, ["0", "0"]) as taps:
        model(torch.ones(1, 2))
        assert len(taps) == 2
        assert taps[0] is taps[1]
