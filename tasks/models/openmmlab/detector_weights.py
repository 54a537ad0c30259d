"""Weights of whole detectors: checkpoints of mmdet, from a file or from where its metafiles say."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from tasks.errors import DataError, require
from tasks.models.openmmlab.detector_config import SHIPPED, config_file
from tasks.models.settings import FullSsdSettings
from tasks.models.weights import load_weights, read_state_dict


def weights_file(settings: FullSsdSettings) -> Path | None:
    """The checkpoint that a protocol names, downloaded if it is mmdet's own and not yet cached; None for none.

    Raises:
        DataError: there is none, or it cannot be downloaded.
    """
    if settings.weights == "none":
        return None
    if settings.weights != "hub":
        path = Path(settings.weights)
        require(path.is_file(), f"no file of weights {path}")
        return path
    url = _published(config_file(settings))
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except OSError as error:
            msg = f"{url} could not be downloaded ({error}); give the path of a file as `weights`"
            raise DataError(msg) from None
    return path


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_detector(path: Path, backbone: nn.Module, neck: nn.Module, head: nn.Module) -> None:
    """Copy the weights of a checkpoint into a detector.

    Layers of the head that have another number of classes in the checkpoint keep their own weights.

    Raises:
        DataError: it holds no state dict, or lacks an entry, or another layer has another shape.
    """
    parts = nn.ModuleDict({"backbone": backbone, "neck": neck, "bbox_head": head})
    weights = read_state_dict(path)
    for name, value in parts.state_dict().items():
        if name.startswith("bbox_head.") and name in weights and _other_classes(weights[name].shape, value.shape):
            weights[name] = value
    load_weights(parts, weights, path)


def _other_classes(one: torch.Size, other: torch.Size) -> bool:
    """Whether two shapes differ in the number of outputs alone."""
    return one != other and one[1:] == other[1:]


def _published(config: Path) -> str:
    """Where mmdet publishes the weights of a config that it ships."""
    metafile = config.parent / "metafile.yml"
    require(
        config.is_relative_to(SHIPPED) and metafile.is_file(), f'weights = "hub": mmdet publishes none for {config}'
    )
    table: Any = yaml.safe_load(metafile.read_text(encoding="utf-8"))
    models = table if isinstance(table, list) else table.get("Models") or []
    for model in models:
        if Path(str(model.get("Config"))).name == config.name and model.get("Weights"):
            return str(model["Weights"])
    msg = f'weights = "hub": mmdet publishes none for {config.name}'
    raise DataError(msg)
