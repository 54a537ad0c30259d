"""Slower ways to the same numbers: one image at a time, by autograd."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tasks.training.learner import Learner


def gradients_by_autograd(learner: Learner, ids: np.ndarray) -> Tensor:
    """Each image's gradient in the weights of the head's layers, from one backward pass per image."""
    weights = [value for name, value in learner.model.head.named_parameters() if name.endswith("weight")]
    rows = []
    for image in ids:
        ((_, outputs),) = learner.batches(np.array([image]))
        raw = learner.model.head(*outputs.features)
        loss = learner.task.losses(raw, learner.task.pseudo_targets(outputs.raw)).sum()
        gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([each.flatten() for each in gradients]))
    return torch.stack(rows)


def one_by_one(score: Callable[[Tensor], Tensor], image: Tensor, iterations: int) -> float:
    """Algorithm 2 of Moosavi-Dezfooli et al. 2016, for one image (1 d), among all categories, overshoot .02."""
    best = int(score(image).argmax())
    total = torch.zeros_like(image)
    for _ in range(iterations + 1):
        leaf = (image + 1.02 * total).requires_grad_()
        values = score(leaf)[0]
        if int(values.argmax()) != best:
            return float(1.02 * total.norm())
        options = []
        for other in range(len(values)):
            if other != best:
                (difference,) = torch.autograd.grad(values[other] - values[best], leaf, retain_graph=True)
                gap = float((values[other] - values[best]).detach().abs())
                options.append((gap / float(difference.norm()), gap / float(difference.norm()) ** 2 * difference))
        total = total + min(options, key=lambda option: option[0])[1]
    return math.inf
