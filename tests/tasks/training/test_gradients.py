"""Gradients in a head's weights, computed for all images at once, are those of each image alone."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from tasks.base import Features, Outputs, UnlabeledTask
from tasks.errors import DataError
from tasks.training.gradients import EXACT_NUMBERS, SKETCH_NUMBERS, count_sketch, gradient_embeddings

IMAGES = 20  # more than are held at once


def losses(raw: list[Tensor], targets: object) -> Tensor:
    """Half the sum of squares of what the head gives for each image."""
    return torch.stack([part.square().flatten(1).sum(1) / 2 for part in raw]).sum(0)


class Maps(nn.Module):
    """The same layers on every map, as the heads of single-stage detectors have them; normalizations are left out."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, *maps: Tensor) -> list[Tensor]:
        return [self.layers(each) for each in maps]


class UnusedLayer(Maps):
    """A head with one layer that it never runs."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.unused = nn.Conv2d(4, 1, 1)


def embeddings(head: nn.Module, *maps: Tensor) -> Tensor:
    outputs = Outputs(raw=head(*maps), taps=(), features=maps)
    task = Mock(spec=UnlabeledTask, losses=losses)
    left, right = gradient_embeddings(task, head, outputs)
    assert torch.equal(left, torch.ones(IMAGES, 1))
    return right


def gradients_of_each_image(head: nn.Module, maps: Features) -> Tensor:
    weights = [
        layer.weight for layer in head.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    ]
    rows = []
    for image in range(IMAGES):
        loss = losses(head(*(each[image : image + 1] for each in maps)), None).sum()
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        rows.append(torch.cat([each.flatten() for each in found if each is not None]))
    return torch.stack(rows)


HEADS = {
    "1x1": lambda: Maps(nn.Conv2d(4, 3, 1)),
    "3x3, padded": lambda: Maps(nn.Conv2d(4, 3, 3, padding=1)),
    "stride 2, other kernel for rows and columns": lambda: Maps(nn.Conv2d(4, 3, (3, 2), stride=(2, 1), padding=(1, 0))),
    "dilated": lambda: Maps(nn.Conv2d(4, 3, 3, dilation=2, padding=2)),
    "two groups": lambda: Maps(nn.Conv2d(4, 6, 3, padding=1, groups=2)),
    "one group per channel, then 1x1": lambda: Maps(
        nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
    ),
    "padded by its size": lambda: Maps(nn.Conv2d(4, 3, 3, padding="same")),
    "padded by reflection": lambda: Maps(nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect")),
    "transposed": lambda: Maps(
        nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(3, 4, 3, 2, 1, 1, groups=1)
    ),
    "convolution, then linear": lambda: Maps(nn.Conv2d(4, 3, 8), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2)),
    "linear on channels last": lambda: Maps(nn.Linear(8, 3)),
    "a layer that never runs": lambda: UnusedLayer(nn.Conv2d(4, 3, 1)),
    "a layer that runs twice on a map": lambda: Maps(*[nn.Conv2d(4, 4, 3, padding=1)] * 2),
}


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("head", HEADS)
def test_gradients_of_all_images_are_those_of_each_alone(head: str, maps: int) -> None:
    torch.manual_seed(5)
    model = HEADS[head]().eval()
    features = tuple(torch.randn(IMAGES, 4, 8, 8) for _ in range(maps))
    torch.testing.assert_close(
        embeddings(model, *features), gradients_of_each_image(model, features), rtol=1e-4, atol=1e-4
    )


def test_a_large_head_gets_a_sketch_of_each_gradient() -> None:
    torch.manual_seed(6)
    head, features = Maps(nn.Conv2d(4, 2100, 1)).eval(), torch.randn(IMAGES, 4, 2, 2)
    exact = gradients_of_each_image(head, (features,))
    assert exact.shape[1] > EXACT_NUMBERS
    torch.testing.assert_close(embeddings(head, features), count_sketch(exact, SKETCH_NUMBERS), rtol=1e-4, atol=1e-4)


def test_the_head_keeps_no_hooks_and_no_gradients() -> None:
    head = Maps(nn.Conv2d(4, 3, 1))
    embeddings(head, torch.randn(IMAGES, 4, 8, 8))
    assert not any(module._forward_hooks for module in head.modules())
    assert all(weight.grad is None for weight in head.parameters())


def test_a_head_without_known_layers_is_named() -> None:
    with pytest.raises(DataError, match="of a head without Linear, Conv2d and ConvTranspose2d are not known: Maps"):
        embeddings(Maps(nn.BatchNorm2d(4)), torch.randn(IMAGES, 4, 8, 8))
