"""A folder of images, some of them labeled in an annotation tool."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import NamedTuple, get_args

from lossbench.words import plural, suggestion
from tasks.datasets.objects import UNWRITABLE, check_names
from tasks.datasets.pools.finding import find_images, folder_of
from tasks.datasets.tools.annotated import AnnotatedImage, Annotations, Shape
from tasks.datasets.tools.naming import ImageNames
from tasks.datasets.tools.reading import read_annotations
from tasks.datasets.tools.shapes import boxes_around
from tasks.errors import DataError, require
from tasks.images.decoding import MOST_NAMED
from tasks.images.files import ImageFile
from tasks.notices import notice
from tasks.settings import LabeledFolder

EMPTY_IS_EXAMPLE = {"boxes"}
"""An image without objects shows a detector what the background is. Without other labels an image teaches nothing."""
HASHED = 1 << 32
ALIKE = 0.8
"""Of the letters of two names, the share that agrees where one may be the other misspelled (`difflib`)."""
NOT_WRITABLE = "must be renamed: files for tools hold neither control characters nor names that are not UTF-8"


class LabeledImages(NamedTuple):
    """The images of a folder or of shards: the pool first, then those that are held out for testing."""

    files: tuple[ImageFile, ...]
    names: tuple[str, ...]
    """Of the files: their paths from the folder, with slashes."""
    labels: tuple[AnnotatedImage | None, ...]
    """None where nobody labeled the image."""
    class_names: tuple[str, ...]
    pool_size: int

    @property
    def parts(self) -> tuple[slice, slice]:
        """The places of the pool and of the test images."""
        return slice(0, self.pool_size), slice(self.pool_size, None)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of names, labels and classes, without the images' content."""
        return hashlib.sha256(repr(self[1:]).encode()).hexdigest()


def load_labeled(source: LabeledFolder, root: Path, shape: Shape) -> LabeledImages:
    """List the images of a folder or of shards, and read what was labeled in them. With `unlabeled`, all are in the pool, by name.

    Args:
        source: the settings.
        root: the data folder.
        shape: which labels are wanted.

    Raises:
        DataError: the folder or an export is missing or malformed, a label is of no image or of an unknown class, or there is no
            image or no class.
    """
    paths, folder = find_images(source.images, root), source.images
    _require_none([ascii(name) for name in paths if UNWRITABLE.search(name)], f"in {folder} {NOT_WRITABLE}", "image")
    labels, listed = _read(source, root, paths, shape)
    classes = _classes(source, labels.values(), listed, shape)
    names = list(paths)
    if not source.unlabeled:
        names = [name for name in names if is_example(labels.get(name), shape)]
        require(names, f"no image of {folder} is labeled with {shape}", "name exports in task.data.labeled.labels")
        names.sort(key=lambda name: is_held_out(name, source.held_out))  # stable: by name within each part
    pool = len(names) if source.unlabeled else sum(not is_held_out(name, source.held_out) for name in names)
    files = tuple(paths[name] for name in names)
    return LabeledImages(files, tuple(names), tuple(labels.get(name) for name in names), classes, pool)


def is_held_out(name: str, share: float) -> bool:
    """Whether an image is for testing alone, once it is labeled."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) < share * HASHED


def is_example(label: AnnotatedImage | None, shape: Shape) -> bool:
    """Whether a model can be trained on an image with these labels.

    To a detector an outline or a mask is its bounding box. An image with points alone shows objects whose boxes nobody drew, and
    one with a class alone may have been put aside as a bad one: neither is background.
    """
    if label is None:
        return False
    if getattr(label, shape):
        return True
    return shape in EMPTY_IS_EXAMPLE and (bool(label.regions) or not (label.points or label.choices))


def shown_classes(labels: Iterable[AnnotatedImage], shape: Shape) -> Counter[str]:
    """How many labels of this shape each class has."""
    found: Counter[str] = Counter()
    for image in labels:
        for each in getattr(image, shape):
            found[each if isinstance(each, str) else each.label] += 1
    return found


def check_several(class_names: Sequence[str]) -> None:
    """Raise a DataError where there is no second class to tell the first from."""
    advice = "name the others, too, with --classes"
    require(len(class_names) > 1, f"{class_names[0]!r} is the only class, and there is nothing to tell it from", advice)


def check_size(path: ImageFile, size: tuple[int, int], labeled: tuple[int, int]) -> None:
    """Raise a DataError where labels are of an image of another size than the one that is there; width and height."""
    fault = f"{path} has {size[0]}x{size[1]} pixels, and its labels are of an image of {labeled[0]}x{labeled[1]}"
    require(size == labeled, fault, "label the image that is there, or put the other one there")


def _read(
    source: LabeledFolder, root: Path, paths: Mapping[str, ImageFile], shape: Shape
) -> tuple[dict[str, AnnotatedImage], tuple[str, ...]]:
    """What the exports say of each image by its name in the folder, and all classes that they list."""
    names = ImageNames({name: _bare(name, image) for name, image in paths.items()})
    labels: dict[str, AnnotatedImage] = {}
    listed: dict[str, None] = {}
    for export in source.labels:
        annotations = read_annotations(root / export, folder_of(source.images, root))
        annotations = _in_boxes(annotations, source.classes) if shape == "boxes" else annotations
        _check_shape(annotations, shape, export)
        listed |= dict.fromkeys(annotations.listed(shape))
        _withdraw(labels, annotations.skipped, names, export)
        absent: list[str] = []
        meant: dict[str, str] = {}
        for image in annotations.images:
            name = _name(image.file, names, export)
            if name is None:
                absent.append(image.file)
            else:
                other = meant.setdefault(name, image.file)
                require(other == image.file, f"{export}: {other} and {image.file} both mean {name}", "keep one of them")
                labels[name] = image
        advice = f"names there are such as {next(iter(paths))}"
        _require_none(absent, f"labeled in {export} and not in {source.images}", "image", advice)
    return labels, tuple(listed)


def _withdraw(labels: dict[str, AnnotatedImage], skipped: Iterable[str], names: ImageNames, export: str) -> None:
    """Remove what earlier exports say of images that this one skips; one line counts them."""
    fits = [names.meant(file) for file in skipped] if labels else []
    gone = {found[0] for found in fits if len(found) == 1} & labels.keys()
    for name in gone:
        del labels[name]
    if gone:
        notice(
            f"{export}: {plural(len(gone), 'image')} of earlier exports without a label here, such as {min(gone)}, "
            f"{'count' if len(gone) > 1 else 'counts'} as unlabeled"
        )


def _in_boxes(annotations: Annotations, classes: Sequence[str]) -> Annotations:
    """The labels of an export with a box around each region that has none, of these classes or, if there are none, of all."""
    if annotations.outlines_in_boxes:
        return annotations
    boxed = []
    for image in annotations.images:
        wanted = [region for region in image.regions if not classes or region.label in classes]
        boxed.append(image._replace(boxes=image.boxes + boxes_around(wanted)))
    return annotations._replace(images=tuple(boxed))


def _check_shape(annotations: Annotations, shape: Shape, export: str) -> None:
    """Raise a DataError where an export has labels, but none of this shape."""
    found = [each for each in get_args(Shape) if shown_classes(annotations.images, each)]
    fault = f"{export} holds {' and '.join(found)}, and no {shape}"
    require(not found or shape in found, fault, "give another export, or another --kind")


def _bare(name: str, image: ImageFile) -> str:
    """The name of an image without its ending, or of a shard its key: labels may give no more."""
    last = name.rpartition("/")[2]
    return PurePosixPath(last).stem if isinstance(image, Path) else last.partition(".")[0]


def _name(file: str, names: ImageNames, export: str) -> str | None:
    """The image that an export means; None if there is none."""
    fits = names.meant(file)
    if len(fits) > 1:
        fault = f"{export}: {file} may be {' or '.join(fits[:2])}"
        raise DataError(fault, "export paths that tell them apart, or rename one of the two")
    return fits[0] if fits else None


def _classes(
    source: LabeledFolder, labels: Iterable[AnnotatedImage], listed: tuple[str, ...], shape: Shape
) -> tuple[str, ...]:
    """The classes that the settings name, or those that the exports list or show."""
    shown = shown_classes(labels, shape)
    names = source.classes or tuple(dict.fromkeys([*listed, *sorted(shown)]))
    require(names, "no class is known", "name the classes, separated by commas, with --classes")
    check_names(names, "the list of classes" if source.classes else " and ".join(source.labels))
    if unknown := [name for name in shown if name not in names]:
        texts = (
            f"{name!r} ({plural(shown[name], 'label')}; {suggestion(name, names)})" for name in unknown[:MOST_NAMED]
        )
        more = f"; and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        fault = f"the labels show classes that are not listed: {'; '.join(texts)}{more}"
        raise DataError(fault, "add them to --classes, or correct the labels")
    if not source.classes:
        _say_what_may_be_misspelled(shown)
    return names


def _say_what_may_be_misspelled(shown: Mapping[str, int]) -> None:
    """Say which class has a single label and a name much like that of a class with more."""
    common = {name.lower(): name for name, number in shown.items() if number > 1}
    for name in (name for name, number in shown.items() if number == 1):
        for other in get_close_matches(name.lower(), common, 1, cutoff=ALIKE):
            notice(
                f"the class {name!r} has one label; if it is {common[other]!r} misspelled, correct it "
                "(with --classes only listed classes pass)"
            )


def _require_none(names: Sequence[str], what: str, noun: str, advice: str = "") -> None:
    """Raise a DataError that names a few of these."""
    if names:
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        fault = f"{plural(len(names), noun)} {what}: {', '.join(names[:MOST_NAMED])}{more}"
        raise DataError(fault, advice)
