"""A trunk that starts from a classifier of other images, trained here by a recipe in the protocol."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import Tensor

from tasks.classification.task import ClassificationTask
from tasks.settings import ClassificationSettings
from tasks.training import Streams, fit
from tasks.weights import save_weights

VERSION = 1
"""Raised when the same settings would give another trunk."""
SEED = 0


def pretrained_stages(
    settings: ClassificationSettings, data: Path, cache: Path, device: torch.device
) -> tuple[dict[str, Tensor], str]:
    """The weights of `ResNet18Stages` after training on the whole pool of a classification protocol, and their SHA-256.

    They are trained once per cache folder; a second process waits for the first.
    """
    task = ClassificationTask(settings, data, cache, device)
    decisive = f"{VERSION} {settings.model_dump_json()} {sorted(task.fingerprints.items())}"
    key = hashlib.sha256(decisive.encode()).hexdigest()[:16]
    path = cache / "trunks" / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            save_weights(_trained(task), path)
    return load_file(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _trained(task: ClassificationTask) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = task.build_model().placed(task.reader.device)
    streams = Streams(np.random.default_rng([SEED, 1]), np.random.default_rng([SEED, 2]))
    fit(task, model, np.arange(task.pool_size), (), streams)
    return model.get_submodule("stages").state_dict()
