"""Gradients of single images' losses in the weights of a model's head, small enough to be held for a whole pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tasks.base import Features, Outputs, UnlabeledTask

EXACT_NUMBERS = 8192  # two stacks of 16 joints x 256 channels are held as they are
SKETCH_NUMBERS = 4096
SKETCH_SEED = 0  # one sketch for all images of all rounds, or their inner products would mean nothing
IMAGES_AT_ONCE = 16  # SSD300's head has 3.5 M weights: bounds their gradients to 220 MB


Layer = nn.Linear | nn.Conv2d


class GradientEmbeddings(NamedTuple):
    """One gradient per image, as the outer product of two vectors: never formed, <g, g'> = <a, a'> <b, b'>."""

    left: Float[Tensor, "n a"]
    """Of a linear head the gradient in its output; else 1."""
    right: Float[Tensor, "n b"]
    """Of a linear head its input; else the gradient itself, or a count sketch of it."""


def gradient_embeddings(task: UnlabeledTask[Any, Any], head: nn.Module, outputs: Outputs) -> GradientEmbeddings:
    """Gradient of the loss under the model's own prediction as target, in the weights (not the biases) of the head.

    Exact where the head is linear (Ash et al. 2020, section 3) or has at most 8,192 weights; else a count sketch to
    4,096 numbers (Charikar et al. 2002), whose inner products are right in the mean, with a standard deviation of at
    most sqrt(2 / 4096) = 2 % of the product of the two lengths.
    """
    targets = task.pseudo_targets(outputs.raw)
    layers, residuals = _layers(head, outputs.features, lambda raw: task.losses(raw, targets).sum())
    if isinstance(head, nn.Linear):
        return GradientEmbeddings(residuals[0], outputs.features[0])
    numbers = sum(layer.weight.numel() for layer, _ in layers)
    parts = []
    for start in range(0, len(residuals[0]), IMAGES_AT_ONCE):
        part = slice(start, start + IMAGES_AT_ONCE)
        per_layer = [
            _weight_gradient(layer, inputs[part], residual[part])
            for (layer, inputs), residual in zip(layers, residuals, strict=True)
        ]
        exact = torch.cat(per_layer, 1)
        parts.append(exact if numbers <= EXACT_NUMBERS else count_sketch(exact, SKETCH_NUMBERS))
    gradients = torch.cat(parts)
    return GradientEmbeddings(gradients.new_ones(len(gradients), 1), gradients)


def _layers(
    head: nn.Module, features: Features, total: Callable[[Any], Tensor]
) -> tuple[list[tuple[Layer, Tensor]], tuple[Tensor, ...]]:
    """The layers of a head with their inputs, and the gradient of the total in their outputs."""
    layers: list[tuple[Layer, Tensor]] = []
    results: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        if not isinstance(layer, Layer) or (isinstance(layer, nn.Conv2d) and layer.groups > 1):
            msg = f"gradients in the weights of a {type(layer).__name__} in a head are not known; Linear and Conv2d are"
            raise TypeError(msg)
        layers.append((layer, inputs[0].detach()))
        results.append(result)

    weighted = [module for module in head.modules() if any(True for _ in module.parameters(recurse=False))]
    handles = [module.register_forward_hook(keep) for module in weighted]
    try:
        with torch.enable_grad():
            raw = head(*(feature.detach().requires_grad_() for feature in features))
            return layers, torch.autograd.grad(total(raw), results, allow_unused=True, materialize_grads=True)
    finally:
        for handle in handles:
            handle.remove()


def _weight_gradient(layer: Layer, inputs: Tensor, residuals: Tensor) -> Float[Tensor, "n b"]:
    """Each image's gradient in the layer's weight, flat, from its gradient in the layer's output."""
    if isinstance(layer, nn.Linear):
        return torch.einsum("na,nb->nab", residuals, inputs).flatten(1)
    kernel, padding = cast("tuple[int, int]", layer.kernel_size), cast("tuple[int, int]", layer.padding)
    patches = functional.unfold(inputs, kernel, layer.dilation, padding, layer.stride)
    return torch.bmm(residuals.flatten(2), patches.transpose(1, 2)).flatten(1)


def count_sketch(vectors: Float[Tensor, "n d"], numbers: int) -> Float[Tensor, "n b"]:
    """A count sketch: each coordinate, with a random sign, is added to a random one of `numbers` (Charikar et al. 2002)."""
    generator = torch.Generator().manual_seed(SKETCH_SEED)
    places = torch.randint(numbers, vectors.shape[1:], generator=generator).to(vectors.device)
    signs = torch.randint(2, vectors.shape[1:], generator=generator).to(vectors) * 2 - 1
    return vectors.new_zeros(len(vectors), numbers).index_add_(1, places, vectors * signs)
