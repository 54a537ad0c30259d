"""Entropies, disagreements and votes by their definitions, in float64."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def exact(log_probs: Tensor) -> np.ndarray:
    """Probabilities in float64."""
    return log_probs.double().exp().numpy()


def entropies(probs: np.ndarray) -> np.ndarray:
    """Entropy by the definition."""
    return -np.where(probs > 0, probs * np.log(np.where(probs > 0, probs, 1)), 0).sum(-1)


def mutual_information(probs: np.ndarray) -> np.ndarray:
    """Of predictions along the first axis, by the definition."""
    return entropies(probs.mean(0)) - entropies(probs).mean(0)


def residuals(probs: np.ndarray) -> np.ndarray:
    """sum over y of p(y) |p - e_y| by the definition."""
    lengths = np.linalg.norm(probs[..., None, :] - np.eye(probs.shape[-1]), axis=-1)
    return (probs * lengths).sum(-1)


def vote_counts(probs: np.ndarray) -> np.ndarray:
    """How many predictions along the first axis vote for each category."""
    return (probs.argmax(-1)[..., None] == np.arange(probs.shape[-1])).sum(0)
