"""Rendered classification scenes in arrays, as the cache holds them. Nothing in them is ever unpickled."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8

from tasks.datasets.classes.classified import ClassifiedImages
from tasks.datasets.scenes.drawing import CLASSES
from tasks.datasets.scenes.layouts import OBJECTS_FILE
from tasks.settings import SCENE_BATCHES

Images = UInt8[np.ndarray, "_ 3 h w"]
Labels = Int[np.ndarray, " _"]


def load_rendered(folder: Path) -> ClassifiedImages:
    """Read the scenes that `materialize` has written into a folder."""
    with np.load(folder / OBJECTS_FILE, allow_pickle=False) as file:
        pool, test = ((file[f"{split}_images"], file[f"{split}_labels"]) for split in ("pool", "test"))
    return ClassifiedImages(
        torch.from_numpy(np.concatenate([pool[0], test[0]])),
        np.concatenate([pool[1], test[1]]),
        CLASSES,
        len(pool[1]),
        fingerprint(pool, test),
    )


def fingerprint(pool: tuple[Images, Labels], test: tuple[Images, Labels]) -> str:
    """The MD5 sums, joined, that images and labels have as files in CIFAR-10's form.

    Scenes were kept in such files when the first records were made, and records name their data by these sums. The files are
    only hashed here, never written.
    """
    edges = [round(len(pool[1]) * part / SCENE_BATCHES) for part in range(SCENE_BATCHES + 1)]
    batches = [
        _batch(f"training batch {number} of {SCENE_BATCHES}", "pool", start, pool[0][start:stop], pool[1][start:stop])
        for number, (start, stop) in enumerate(pairwise(edges), start=1)
    ]
    meta = {"label_names": list(CLASSES), "num_cases_per_batch": edges[1], "num_vis": pool[0][0].size}
    contents = [meta, *batches, _batch("testing batch 1 of 1", "test", 0, *test)]  # in the order of the files' names
    return "-".join(_sums(contents))


def _batch(title: str, split: str, start: int, images: Images, labels: Labels) -> dict[str, object]:
    """A batch in CIFAR-10's form: each row of `data` is an image's red, green and blue plane."""
    names = [f"{CLASSES[label]}_{split}_{start + row:06d}.png" for row, label in enumerate(labels.tolist())]
    return {
        "batch_label": title,
        "labels": labels.tolist(),
        "data": images.reshape(len(images), -1).copy(),
        "filenames": names,
    }


def _sums(contents: list[dict[str, object]]) -> Iterator[str]:
    for content in contents:
        yield hashlib.md5(pickle.dumps(content, protocol=2), usedforsecurity=False).hexdigest()
