"""Gradients of single images' losses in the weights of a model's head, small enough to be held for a whole pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn import functional

from tasks.base import Features, Outputs, UnlabeledTask
from tasks.errors import require

EXACT_NUMBERS = 8192  # two stacks of 16 joints x 256 channels are held as they are
SKETCH_NUMBERS = 4096
SKETCH_SEED = 0  # one sketch for all images of all rounds, or their inner products would mean nothing
NUMBERS_AT_ONCE = 2**26  # bounds the gradients of the images that are computed together to 256 MB

Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


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
    uses = _uses(head, outputs.features, lambda raw: task.losses(raw, targets).sum())
    if isinstance(head, nn.Linear):
        return GradientEmbeddings(uses[0].residuals, outputs.features[0])
    layers = {id(use.layer): use.layer for use in uses}
    numbers = sum(layer.weight.numel() for layer in layers.values())
    parts = []
    images = max(1, NUMBERS_AT_ONCE // numbers)
    for start in range(0, len(uses[0].residuals), images):
        part = slice(start, start + images)
        per_layer: dict[int, Tensor] = {}
        for use in uses:  # of a layer that reads several maps the sum
            gradient = _weight_gradient(use.layer, use.inputs[part], use.residuals[part])
            known = per_layer.get(id(use.layer))
            per_layer[id(use.layer)] = gradient if known is None else known + gradient
        exact = torch.cat(list(per_layer.values()), 1)
        parts.append(exact if numbers <= EXACT_NUMBERS else count_sketch(exact, SKETCH_NUMBERS))
    gradients = torch.cat(parts)
    return GradientEmbeddings(gradients.new_ones(len(gradients), 1), gradients)


class _Use(NamedTuple):
    """One run of a layer: what it read, and the gradient of the total in what it gave."""

    layer: Layer
    inputs: Tensor
    residuals: Tensor


def _uses(head: nn.Module, features: Features, total: Callable[[Any], Tensor]) -> list[_Use]:
    """All runs of a head's layers. Normalizations and scalar factors are left out, as biases are."""
    runs: list[tuple[Layer, Tensor]] = []
    results: list[Tensor] = []

    def keep(layer: Layer, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        runs.append((layer, inputs[0].detach()))
        results.append(result)

    handles = [module.register_forward_hook(keep) for module in head.modules() if isinstance(module, Layer)]
    try:
        with torch.enable_grad():
            raw = head(*(feature.detach().requires_grad_() for feature in features))
            names = "Linear, Conv2d and ConvTranspose2d"
            require(runs, f"gradients in the weights of a head without {names} are not known: {type(head).__name__}")
            residuals = torch.autograd.grad(total(raw), results, allow_unused=True, materialize_grads=True)
    finally:
        for handle in handles:
            handle.remove()
    return [_Use(layer, inputs, residual) for (layer, inputs), residual in zip(runs, residuals, strict=True)]


def _weight_gradient(layer: Layer, inputs: Tensor, residuals: Tensor) -> Float[Tensor, "n b"]:
    """Each image's gradient in the layer's weight, flat, from its gradient in the layer's output."""
    if isinstance(layer, nn.Linear):
        return torch.einsum("n...a,n...b->nab", residuals, inputs).flatten(1)
    if isinstance(layer, nn.ConvTranspose2d) or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return _weight_gradient_by_autograd(layer, inputs, residuals)
    kernel, padding = cast("tuple[int, int]", layer.kernel_size), cast("tuple[int, int]", layer.padding)
    patches = functional.unfold(inputs, kernel, layer.dilation, padding, layer.stride)
    if layer.groups > 1:  # each group of outputs reads its own inputs
        patches, residuals = (each.unflatten(1, (layer.groups, -1)) for each in (patches, residuals))
        return (residuals.flatten(3) @ patches.transpose(2, 3)).flatten(1)
    return torch.bmm(residuals.flatten(2), patches.transpose(1, 2)).flatten(1)


def _weight_gradient_by_autograd(layer: Layer, inputs: Tensor, residuals: Tensor) -> Float[Tensor, "n b"]:
    """The same for any layer, a few times slower than a product of matrices."""

    def of_one_image(image: Tensor, residual: Tensor) -> Tensor:
        result = vjp(lambda weight: functional_call(layer, {"weight": weight}, (image[None],)), layer.weight.detach())
        return result[1](residual[None])[0].flatten()

    return vmap(of_one_image)(inputs, residuals)


def count_sketch(vectors: Float[Tensor, "n d"], numbers: int) -> Float[Tensor, "n b"]:
    """A count sketch: each coordinate, with a random sign, is added to a random one of `numbers` (Charikar et al. 2002)."""
    generator = torch.Generator().manual_seed(SKETCH_SEED)
    places = torch.randint(numbers, vectors.shape[1:], generator=generator).to(vectors.device)
    signs = torch.randint(2, vectors.shape[1:], generator=generator).to(vectors) * 2 - 1
    return vectors.new_zeros(len(vectors), numbers).index_add_(1, places, vectors * signs)
