"""CIFAR-10 in its official files."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.datasets import CIFAR10

from tasks.datasets.classes.classified import ClassifiedImages
from tasks.errors import read_data, require

FOLDER = CIFAR10.base_folder
SHAPE = (3, 32, 32)
"""Of an image: channels, rows, columns."""


def official_digests() -> dict[str, str]:
    """The MD5 sums of CIFAR-10's files by name, as published by its authors and torchvision."""
    return dict(CIFAR10.train_list + CIFAR10.test_list) | {"batches.meta": CIFAR10.meta["md5"]}


def load_cifar10(root: Path) -> ClassifiedImages:
    """Read CIFAR-10 in `root/cifar-10-batches-py`. Nothing is unpickled before all files have the published MD5 sums.

    Raises:
        DataError: a file is missing, or its MD5 sum is wrong.
    """
    digests = official_digests()
    contents = checked_contents(root / FOLDER, digests)
    train, test = (
        [unpickled(contents[name]) for name, _ in files] for files in (CIFAR10.train_list, CIFAR10.test_list)
    )
    pixels = np.concatenate([batch["data"] for batch in train + test]).reshape(-1, *SHAPE)
    return ClassifiedImages(
        torch.from_numpy(pixels),
        np.array([label for batch in train + test for label in batch["labels"]]),
        tuple(unpickled(contents[CIFAR10.meta["filename"]])[CIFAR10.meta["key"]]),
        sum(len(batch["labels"]) for batch in train),
        "-".join(digest for _, digest in sorted(digests.items())),
    )


def checked_contents(folder: Path, digests: dict[str, str]) -> dict[str, bytes]:
    """The contents of files by name, each read once and compared with its MD5 sum.

    Raises:
        DataError: a file is missing, or its MD5 sum is wrong.
    """
    contents = {}
    for name, digest in digests.items():
        file = folder / name
        contents[name] = read_data(file, "a batch of CIFAR-10")
        actual = hashlib.md5(contents[name], usedforsecurity=False).hexdigest()
        require(actual == digest, f"{file} is damaged: MD5 {actual}, expected {digest}; fetch it again")
    return contents


def unpickled(content: bytes) -> dict[str, Any]:
    """The content of one of CIFAR-10's files; only of one with its published sum."""
    return pickle.loads(content, encoding="latin1")  # noqa: S301 - only of a published sum
