"""Pre-training on other images by a recipe in the protocol, for models whose weights cannot be downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.locks import locked
from tasks.base import Task
from tasks.notices import notice
from tasks.settings import TaskSettings
from tasks.training.loop import fit
from tasks.training.step import Streams
from tasks.training.weights import DamagedWeightsError, digest_of, read_weights, save_weights

VERSION = 1
"""Raised when the same settings would give other weights."""
SEED = 0


def pretrained(
    task: Task[Any, Any], settings: TaskSettings, cache: Path, part: str = ""
) -> tuple[dict[str, Tensor], str]:
    """The weights of a task's model after training on its whole pool, and their SHA-256 (`digest_of`).

    They are trained once per cache folder; a second process waits for the first. A damaged file is replaced.

    Args:
        task: holds the images to learn from, built by `settings`.
        settings: decide the weights, together with the task's data, the device and the number of threads.
        cache: folder of weights; they are kept in its folder `trunks`.
        part: name of the submodule whose weights are returned; the whole model by default.
    """
    machine = f"{task.unlabeled.device.type} {torch.get_num_threads()}"
    pixels = task.unlabeled.content(np.arange(task.pool_size))  # files may be others under the same names
    decisive = f"{VERSION} {settings.model_dump_json()} {sorted(task.fingerprints.items())} {pixels} {machine}"
    key = hashlib.sha256(decisive.encode()).hexdigest()[:16]
    path = cache / "trunks" / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        weights = _kept(path)
        if weights is None:
            save_weights(_trained(task, part), path)
            weights = read_weights(path).tensors
    return weights, digest_of(weights)


def _kept(path: Path) -> dict[str, Tensor] | None:
    """The weights in a file; None if it does not exist or is damaged.

    Files of Lossbench 0.1 have no digest. They are read as they are, since records name the SHA-256 of the weights.
    """
    if not path.exists():
        return None
    try:
        return read_weights(path, digest_required=False).tensors
    except DamagedWeightsError as error:
        notice(f"{path} is damaged ({error}); its weights are trained again")
        return None


def _trained(task: Task[Any, Any], part: str) -> dict[str, Tensor]:
    streams = Streams(np.random.default_rng([SEED, 1]), np.random.default_rng([SEED, 2]))
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = task.build_model().placed(task.unlabeled.device)
        fit(task, model, np.arange(task.pool_size), (), streams)
    return model.get_submodule(part).state_dict()
