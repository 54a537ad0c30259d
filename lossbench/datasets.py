"""Real data sets: where they are looked for, whether they are right, and how to get them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from lossbench.config import ConfigError
from tasks.base import DataError
from tasks.settings import VOC_CLASSES


class Dataset(NamedTuple):
    """A real data set as the protocols want it."""

    name: str
    folder: str
    """Below the data folder."""
    source: str
    check: Callable[[Path], str]
    """What is there; raises DataError where it is damaged."""


def check(root: Path, console: Console) -> None:
    """Print for every data set where it is looked for and what is there.

    Raises:
        DataError: a data set is there, but damaged.
    """
    console.print(f"Looked for below {root.resolve()} (--data DIR):", soft_wrap=True, highlight=False, markup=False)
    damaged = []
    for each in DATASETS:
        place = root / each.folder
        try:
            state = each.check(root) if place.exists() else f"not there; get it: {each.source}"
        except DataError as error:
            state = f"damaged: {error}"
            damaged.append(each.name)
        console.print(f"  {each.name:8} {each.folder}: {state}", soft_wrap=True, highlight=False, markup=False)
    if damaged:
        msg = f"damaged: {', '.join(damaged)}; fetch it again"
        raise DataError(msg)


def fetch_dataset(name: str, root: Path) -> None:
    """Download a data set through torchvision.

    Raises:
        ConfigError: a name that cannot be fetched.
        DataError: the download failed.
    """
    from torchvision.datasets import CIFAR10, VOCDetection  # noqa: PLC0415 - heavy

    root.mkdir(parents=True, exist_ok=True)
    try:
        if name == "cifar10":
            CIFAR10(str(root), download=True)
        elif name == "voc2007":
            for image_set in ("trainval", "test"):
                VOCDetection(str(root), year="2007", image_set=image_set, download=True)
        elif name == "voc2012":
            VOCDetection(str(root), year="2012", image_set="trainval", download=True)
        else:
            msg = f"no data set {name!r} to fetch; there are cifar10, voc2007, voc2012 (MPII asks for a registration)"
            raise ConfigError(msg)
    except (OSError, RuntimeError) as error:
        msg = f"{name} could not be fetched into {root}: {error}"
        raise DataError(msg) from None


def _cifar10(root: Path) -> str:
    from tasks.classification.data import FOLDER, check_files, official_digests  # noqa: PLC0415

    check_files(root / FOLDER, official_digests())
    return "7 files, all MD5 sums right"


def _voc(root: Path) -> str:
    from tasks.detection.data import load_split  # noqa: PLC0415 - imports mmdet

    devkit, counts = root / "VOCdevkit", []
    for folder in sorted(devkit.glob("VOC20*")):
        for listed in ("trainval", "test"):
            if (folder / "ImageSets/Main" / f"{listed}.txt").exists():
                split = load_split(devkit, [f"{folder.name[3:]}/{listed}"], VOC_CLASSES, need_object=False)
                boxes = sum(len(each.labels) for each in split.objects)
                counts.append(f"{folder.name[3:]}/{listed} {len(split.files)} images, {boxes} boxes")
    return "; ".join(counts) or "no list of images in it"


def _pose(root: Path) -> str:
    from tasks.pose.data import load_list  # noqa: PLC0415 - imports mmpose

    counts = []
    for file in sorted((root / "pose/annotations").glob("*.json")):
        persons = load_list(root / "pose/images", file, center_shift=0, need_head=False).persons
        heads = sum(person.head > 0 for person in persons)
        counts.append(f"{file.name} {len(persons)} persons, {heads} with a head size")
    return "; ".join(counts) or "no annotations in it"


DATASETS = (
    Dataset("CIFAR-10", "cifar-10-batches-py", "lossbench data --fetch cifar10", _cifar10),
    Dataset("VOC", "VOCdevkit", "lossbench data --fetch voc2007 --fetch voc2012", _voc),
    Dataset("pose", "pose", "MPII's images in pose/images, HRNet's JSON in pose/annotations (see README)", _pose),
)
