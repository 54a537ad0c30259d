"""Images in memory with one class each, and how they are put in order: the pool first, then the test images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from tasks.errors import DataError, require
from tasks.images.squares import Squares, parts

SPLIT_SEED = 0  # the images that are held out for testing are the same in every run


class ClassifiedImages(NamedTuple):
    """Labeled images: the pool first, then the test images."""

    pixels: Squares
    labels: Int[np.ndarray, " n"]
    """Class indices."""
    class_names: tuple[str, ...]
    pool_size: int
    fingerprint: str
    """Tells these images, labels and names from others: digests of files, or of what is here."""

    @classmethod
    def of(
        cls,
        pixels: UInt8[Tensor, "n 3 h w"],
        labels: Int[np.ndarray, " n"],
        class_names: Sequence[str],
        test: Bool[np.ndarray, " n"],
    ) -> ClassifiedImages:
        """Put the images in order.

        Args:
            pixels: in any order.
            labels: class indices.
            class_names: of the indices.
            test: which images are for testing.

        Raises:
            DataError: there is one class, or a class is in one of the splits alone.
        """
        check_classes(labels, class_names, test)
        order, pool_size = split_order(test)
        return cls.ordered(pixels[torch.from_numpy(order)], labels[order], class_names, pool_size)

    @classmethod
    def ordered(
        cls, pixels: Squares, labels: Int[np.ndarray, " n"], class_names: Sequence[str], pool_size: int
    ) -> ClassifiedImages:
        """Images that are in order, with a fingerprint."""
        digest = hashlib.sha256(repr((tuple(pixels.shape), tuple(class_names), pool_size)).encode())
        digest.update(np.ascontiguousarray(labels, "<i8").data)
        for part in parts(pixels):
            digest.update(part.data)
        return cls(pixels, labels, tuple(class_names), pool_size, digest.hexdigest())


def split_order(test: Bool[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " n"], int]:
    """The places of the images, the pool first, and the size of the pool."""
    return np.concatenate([np.flatnonzero(~test), np.flatnonzero(test)]), int((~test).sum())


def check_classes(labels: Int[np.ndarray, " n"], class_names: Sequence[str], test: Bool[np.ndarray, " n"]) -> None:
    """Raise a DataError where there is one class, or a class is in one of the splits alone."""
    present = np.unique(labels).tolist()
    require(
        len(present) > 1, f"there is one class alone: {class_names[present[0]]}", "two are needed to tell them apart"
    )
    for label in present:
        inside = test[labels == label]
        if inside.all() or not inside.any():
            fault = f"the class {class_names[label]} has {'test' if inside.all() else 'training'} images alone"
            raise DataError(fault, "put some of its images into the other split, or leave the class out")


def held_out(labels: Int[np.ndarray, " n"], share: float) -> Bool[np.ndarray, " n"]:
    """Which images are kept for testing: of each class this share, but at least one if it has two images."""
    draws, test = np.random.default_rng(SPLIT_SEED), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = draws.permutation(np.flatnonzero(labels == label))
        test[rows[: max(round(share * len(rows)), int(len(rows) > 1))]] = True
    return test
