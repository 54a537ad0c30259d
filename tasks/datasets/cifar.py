"""CIFAR-10 in its official files, and any data set in the same form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import calculate_md5

from tasks.errors import require, require_path

FOLDER = CIFAR10.base_folder
MANIFEST = "manifest.json"


class ClassifiedImages(NamedTuple):
    """Labeled images: the pool first, then the test images."""

    pixels: UInt8[Tensor, "n 3 h w"]
    labels: Int[np.ndarray, " n"]
    """Class indices."""
    class_names: tuple[str, ...]
    pool_size: int
    fingerprint: str
    """The MD5 sums of the files, joined."""


class ManifestBatches(CIFAR10):
    """Torchvision's reader for batches in CIFAR-10's form, with other MD5 sums than CIFAR-10's."""

    def __init__(self, root: Path, *, train: bool, digests: dict[str, str]) -> None:
        files = sorted(digests.items())
        self.train_list = [list(file) for file in files if file[0].startswith("data_batch")]
        self.test_list = [list(file) for file in files if file[0].startswith("test_batch")]
        self.meta = {"filename": "batches.meta", "key": "label_names", "md5": digests["batches.meta"]}
        super().__init__(str(root), train=train)


def official_digests() -> dict[str, str]:
    """The MD5 sums of CIFAR-10's files by name, as published by its authors and torchvision."""
    return dict(CIFAR10.train_list + CIFAR10.test_list) | {"batches.meta": CIFAR10.meta["md5"]}


def load(root: Path, *, manifest: bool = False) -> ClassifiedImages:
    """Read the images in `root/cifar-10-batches-py`. No file is unpickled before its MD5 sum has been checked.

    Args:
        root: the folder that holds `cifar-10-batches-py`.
        manifest: take the MD5 sums from the file `manifest.json` beside the batches instead of the official ones.

    Raises:
        DataError: a file is missing, or its MD5 sum is wrong.
    """
    folder = root / FOLDER
    digests = official_digests()
    if manifest:
        digests = json.loads(require_path(folder / MANIFEST, "the manifest of the batches").read_text(encoding="utf-8"))
    check_files(folder, digests)
    train, test = (ManifestBatches(root, train=train, digests=digests) for train in (True, False))
    pixels = np.concatenate([train.data, test.data]).transpose(0, 3, 1, 2)
    return ClassifiedImages(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        np.array(train.targets + test.targets),
        tuple(train.classes),
        len(train.data),
        "-".join(digest for _, digest in sorted(digests.items())),
    )


def check_files(folder: Path, digests: dict[str, str]) -> None:
    """Raise a DataError if a file is missing or its MD5 sum is wrong.

    Args:
        folder: of the files.
        digests: MD5 sums by file name.
    """
    for name, digest in digests.items():
        file = require_path(folder / name, "a batch of CIFAR-10's form")
        actual = calculate_md5(str(file))
        require(actual == digest, f"{file} is damaged: MD5 {actual}, expected {digest}; fetch it again")
