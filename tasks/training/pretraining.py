"""Pre-training on other images by a recipe in the protocol, for models whose weights cannot be downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import Tensor

from tasks.base import Task
from tasks.settings import TaskSettings
from tasks.training.loop import Streams, fit
from tasks.training.weights import save_weights

VERSION = 1
"""Raised when the same settings would give other weights."""
SEED = 0


def pretrained(
    task: Task[Any, Any], settings: TaskSettings, cache: Path, part: str = ""
) -> tuple[dict[str, Tensor], str]:
    """The weights of a task's model after training on its whole pool, and the SHA-256 of their file.

    They are trained once per cache folder; a second process waits for the first.

    Args:
        task: holds the images to learn from, built by `settings`.
        settings: decide the weights, together with the task's data, the device and the number of threads.
        cache: folder of weights; they are kept in its folder `trunks`.
        part: name of the submodule whose weights are returned; the whole model by default.
    """
    machine = f"{task.unlabeled.device.type} {torch.get_num_threads()}"
    decisive = f"{VERSION} {settings.model_dump_json()} {sorted(task.fingerprints.items())} {machine}"
    key = hashlib.sha256(decisive.encode()).hexdigest()[:16]
    path = cache / "trunks" / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            save_weights(_trained(task, part), path)
    return load_file(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _trained(task: Task[Any, Any], part: str) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = task.build_model().placed(task.unlabeled.device)
    streams = Streams(np.random.default_rng([SEED, 1]), np.random.default_rng([SEED, 2]))
    fit(task, model, np.arange(task.pool_size), (), streams)
    return model.get_submodule(part).state_dict()
