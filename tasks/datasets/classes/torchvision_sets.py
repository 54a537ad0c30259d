"""Classification data sets of torchvision, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torchvision import datasets

from lossbench.words import suggestion
from tasks.datasets.classes.classified import ClassifiedImages, held_out
from tasks.errors import DataError, require
from tasks.images.decoding import scaled

Part = dict[str, Any]
"""The arguments with which torchvision gives one part of a data set."""
BY_FLAG: tuple[Part, ...] = ({"train": True}, {"train": False})
BY_NAME: tuple[Part, ...] = ({"split": "train"}, {"split": "test"})
WITH_VALIDATION: tuple[Part, ...] = ({"split": "trainval"}, {"split": "test"})
WHOLE: tuple[Part, ...] = ({},)
PARTS: Mapping[str, tuple[Part, ...]] = {
    "Caltech101": WHOLE,
    "Caltech256": WHOLE,
    "CIFAR10": BY_FLAG,
    "CIFAR100": BY_FLAG,
    "Country211": BY_NAME,
    "DTD": BY_NAME,
    "EMNIST": ({"split": "balanced", "train": True}, {"split": "balanced", "train": False}),
    "EuroSAT": WHOLE,
    "FashionMNIST": BY_FLAG,
    "FGVCAircraft": WITH_VALIDATION,
    "Flowers102": BY_NAME,
    "Food101": BY_NAME,
    "GTSRB": BY_NAME,
    "Imagenette": ({"split": "train"}, {"split": "val"}),
    "KMNIST": BY_FLAG,
    "MNIST": BY_FLAG,
    "OxfordIIITPet": WITH_VALIDATION,
    "PCAM": BY_NAME,
    "RenderedSST2": BY_NAME,
    "SEMEION": WHOLE,
    "StanfordCars": BY_NAME,
    "STL10": BY_NAME,
    "SUN397": WHOLE,
    "SVHN": BY_NAME,
    "USPS": BY_FLAG,
}
"""By name: the parts for the pool and for testing; one part where torchvision knows no split."""


def load_torchvision(name: str, root: Path, side: int, share: float) -> ClassifiedImages:
    """Read a data set that is in its place already.

    Args:
        name: of the class in `torchvision.datasets`, such as SVHN.
        root: the folder that torchvision reads it from.
        side: of the squares to which images are scaled, in pixels.
        share: of each class that is kept for testing where torchvision knows no split.

    Raises:
        DataError: torchvision has no such data set, it is not there, or does not give images with one class each.
    """
    parts = torchvision_parts(name, root, download=False)
    decoded = [_decoded(name, part, side) for part in parts]
    pixels, labels = (np.concatenate([each[place] for each in decoded]) for place in (0, 1))
    is_test = np.repeat([False, True], [len(part) for part in parts]) if len(parts) > 1 else held_out(labels, share)
    names = _class_names(parts[0], int(labels.max()) + 1)
    return ClassifiedImages.of(torch.from_numpy(pixels), labels, names, is_test)


def torchvision_parts(name: str, root: Path, *, download: bool) -> list[Any]:
    """The part for the pool and the part for testing; one part alone where torchvision knows no split.

    Raises:
        DataError: torchvision has no such data set, it is not there, or it cannot be downloaded.
    """
    require(name in PARTS, f"no classification data set {name!r} of torchvision is known", suggestion(name, PARTS))
    try:
        return [getattr(datasets, name)(str(root), download=download, **part) for part in PARTS[name]]
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        doing, reason = "fetch" if download else "read", (str(error).splitlines() or [type(error).__name__])[0]
        fault = f"cannot {doing} {name} of torchvision in {root}: {reason}"
        raise DataError(fault, "" if download else f"lossbench data fetch {name} --data DIR downloads it") from None


def _decoded(name: str, part: Any, side: int) -> tuple[UInt8[np.ndarray, "n 3 s s"], Int[np.ndarray, " n"]]:
    """The images and class indices of a part. EMNIST's files hold rows as columns."""
    pixels, labels = np.empty((len(part), 3, side, side), np.uint8), np.empty(len(part), np.int64)
    for row in range(len(part)):
        image, label = part[row]
        fits = isinstance(image, Image.Image) and isinstance(label, int | np.integer)
        require(fits, f"{name} of torchvision does not give an image and a class number", "choose another data set")
        upright = image.transpose(Image.Transpose.TRANSPOSE) if name == "EMNIST" else image
        pixels[row], labels[row] = scaled(upright, side), label
    return pixels, labels


def _class_names(part: Any, count: int) -> tuple[str, ...]:
    names = tuple(map(str, getattr(part, "classes", None) or getattr(part, "categories", None) or ()))
    return names if len(set(names)) == len(names) >= count else tuple(map(str, range(count)))
