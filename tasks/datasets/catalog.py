"""The real data sets that protocols use: where they are expected, whether they are complete, how to get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lossbench.words import suggestion
from tasks.datasets.names import CAMVID_CLASSES, CAMVID_VOID, FETCHABLE, TORCHVISION_FOLDER, VOC_CLASSES
from tasks.errors import DataError


class Dataset(NamedTuple):
    """A real data set."""

    name: str
    folder: str
    """Relative to the data folder."""
    source: str
    """How to get it."""
    check: Callable[[Path], str]
    """Describes the files in a data folder; raises DataError if one is damaged."""


class State(NamedTuple):
    """Whether a data set is there, complete or damaged."""

    dataset: Dataset
    text: str
    """A description of the files, of the damage, or how to get the data set."""
    damaged: bool


def states(root: Path) -> Iterator[State]:
    """The state of every data set in a data folder."""
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
        DataError: the name is unknown, or the download failed.
    """
    from torchvision.datasets import CIFAR10, VOCDetection  # noqa: PLC0415 - heavy

    from tasks.datasets.classes.torchvision_sets import PARTS, torchvision_parts  # noqa: PLC0415 - heavy

    root.mkdir(parents=True, exist_ok=True)
    try:
        if name == "cifar10":
            CIFAR10(str(root), download=True)
        elif name == "voc2007":
            for image_set in ("trainval", "test"):
                VOCDetection(str(root), year="2007", image_set=image_set, download=True)
        elif name == "voc2012":
            VOCDetection(str(root), year="2012", image_set="trainval", download=True)
        elif name in PARTS:
            torchvision_parts(name, root / TORCHVISION_FOLDER, download=True)
        else:
            advice = f"{suggestion(name, (*FETCHABLE, *PARTS))} (MPII requires a registration)"
            fault = f"cannot fetch {name!r}"
            raise DataError(fault, advice)
    except (OSError, RuntimeError) as error:
        msg = f"could not fetch {name} into {root}: {error}"
        raise DataError(msg) from None


def _cifar10(root: Path) -> str:
    from tasks.datasets.classes.cifar import FOLDER, checked_contents, official_digests  # noqa: PLC0415

    checked_contents(root / FOLDER, official_digests())
    return "7 files, all MD5 sums right"


def _voc(root: Path) -> str:
    from tasks.datasets.voc import load_split  # noqa: PLC0415

    devkit, counts = root / "VOCdevkit", []
    for folder in sorted(devkit.glob("VOC20*")):
        for image_set in ("trainval", "test"):
            if (folder / "ImageSets/Main" / f"{image_set}.txt").exists():
                name = f"{folder.name.removeprefix('VOC')}/{image_set}"
                split = load_split(devkit, [name], VOC_CLASSES, need_object=False)
                boxes = sum(len(objects.labels) for objects in split.objects)
                counts.append(f"{name} {len(split.files)} images, {boxes} boxes")
    return "; ".join(counts) or "the folder has no list of images"


def _pose(root: Path) -> str:
    from tasks.datasets.mpii import load_list  # noqa: PLC0415

    counts = []
    for file in sorted((root / "pose/annotations").glob("*.json")):
        persons = load_list(root / "pose/images", file, center_shift=0, need_head=False, frame=1.0).persons
        heads = sum(person.head_size > 0 for person in persons)
        counts.append(f"{file.name} {len(persons)} persons, {heads} with a head size")
    return "; ".join(counts) or "the folder has no annotations"


def _camvid(root: Path) -> str:
    from tasks.datasets.masks import Numbering, label_maps, load_folder  # noqa: PLC0415

    folder, counts = root / "camvid", []
    numbering = Numbering.of(CAMVID_CLASSES, CAMVID_VOID)
    for name in ("train", "val", "test"):
        split = load_folder(folder / name, folder / f"{name}annot")
        counts.append(f"{name} {sum(1 for _ in label_maps(split, numbering))} frames")
    return "; ".join(counts)


def _cityscapes(root: Path) -> str:
    from tasks.datasets.masks import cityscapes_numbering, label_maps, load_cityscapes  # noqa: PLC0415

    numbering = cityscapes_numbering()
    splits = {name: load_cityscapes(root / "cityscapes", name) for name in ("train", "val")}
    counts = {name: sum(1 for _ in label_maps(split, numbering)) for name, split in splits.items()}
    return "; ".join(f"{name} {count} images" for name, count in counts.items())


DATASETS = (
    Dataset("CIFAR-10", "cifar-10-batches-py", "lossbench data fetch cifar10", _cifar10),
    Dataset("VOC", "VOCdevkit", "lossbench data fetch voc2007 voc2012", _voc),
    Dataset(
        "pose", "pose", "MPII's images in pose/images, HRNet's JSON in pose/annotations (see docs/tasks.md)", _pose
    ),
    Dataset("CamVid", "camvid", "its frames and masks of 11 classes, in folders (see docs/data.md)", _camvid),
    Dataset(
        "Cityscapes", "cityscapes", "register at cityscapes-dataset.com; leftImg8bit and gtFine go there", _cityscapes
    ),
)
