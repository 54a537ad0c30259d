"""Real data sets: where they are looked for, whether they are complete, and how to get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tasks.base import DataError
from tasks.datasets.names import VOC_CLASSES


class Dataset(NamedTuple):
    """A real data set as the protocols want it."""

    name: str
    folder: str
    """Below the data folder."""
    source: str
    check: Callable[[Path], str]
    """What is there; raises DataError where it is damaged."""


class State(NamedTuple):
    """What was found of a data set."""

    dataset: Dataset
    text: str
    damaged: bool


def states(root: Path) -> Iterator[State]:
    """What is there of every data set below a data folder."""
    for dataset in DATASETS:
        if not (root / dataset.folder).exists():
            yield State(dataset, f"not there; get it: {dataset.source}", damaged=False)
            continue
        try:
            yield State(dataset, dataset.check(root), damaged=False)
        except DataError as error:
            yield State(dataset, f"damaged: {error}", damaged=True)


def fetch(name: str, root: Path) -> None:
    """Download a data set through torchvision.

    Raises:
        DataError: a name that cannot be fetched, or a download that failed.
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
            raise DataError(msg)
    except (OSError, RuntimeError) as error:
        msg = f"{name} could not be fetched into {root}: {error}"
        raise DataError(msg) from None


def _cifar10(root: Path) -> str:
    from tasks.datasets.cifar import FOLDER, check_files, official_digests  # noqa: PLC0415

    check_files(root / FOLDER, official_digests())
    return "7 files, all MD5 sums right"


def _voc(root: Path) -> str:
    from tasks.datasets.voc import load_split  # noqa: PLC0415

    devkit, counts = root / "VOCdevkit", []
    for folder in sorted(devkit.glob("VOC20*")):
        for listed in ("trainval", "test"):
            if (folder / "ImageSets/Main" / f"{listed}.txt").exists():
                split = load_split(devkit, [f"{folder.name[3:]}/{listed}"], VOC_CLASSES, need_object=False)
                boxes = sum(len(each.labels) for each in split.objects)
                counts.append(f"{folder.name[3:]}/{listed} {len(split.files)} images, {boxes} boxes")
    return "; ".join(counts) or "no list of images in it"


def _pose(root: Path) -> str:
    from tasks.datasets.mpii import load_list  # noqa: PLC0415

    counts = []
    for file in sorted((root / "pose/annotations").glob("*.json")):
        persons = load_list(root / "pose/images", file, center_shift=0, need_head=False, frame=1.0).persons
        heads = sum(person.head > 0 for person in persons)
        counts.append(f"{file.name} {len(persons)} persons, {heads} with a head size")
    return "; ".join(counts) or "no annotations in it"


DATASETS = (
    Dataset("CIFAR-10", "cifar-10-batches-py", "lossbench data fetch cifar10", _cifar10),
    Dataset("VOC", "VOCdevkit", "lossbench data fetch voc2007 voc2012", _voc),
    Dataset("pose", "pose", "MPII's images in pose/images, HRNet's JSON in pose/annotations (see README)", _pose),
)
