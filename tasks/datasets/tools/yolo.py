"""Sets of YOLO's form: a YAML file, images, and a text file of boxes for each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml

from lossbench.files import decoded_text, shown
from lossbench.words import plural
from tasks.datasets.objects import check_names
from tasks.datasets.tools.annotated import AnnotatedImage, Annotations, LabeledBox
from tasks.datasets.tools.checking import checked
from tasks.datasets.tools.naming import ImageNames
from tasks.datasets.tools.shapes import known_size
from tasks.datasets.tools.writing import write_text
from tasks.datasets.yolo import labels_of, listed_images, objects_of, read_yaml
from tasks.errors import DataError, read_data, require
from tasks.images.decoding import image_size
from tasks.images.folders import files_below

SPLITS = ("train", "val", "test")
IMAGES = "images"
LABELS = "labels"
"""Folders of images and of their text files, one beside the other."""
CLASSES = "classes.txt"
"""The class names, one in each line, where there is no YAML file: Label Studio writes so."""


def read_yolo_annotations(path: Path, images: Path | None = None) -> Annotations:
    """Read the boxes of all splits; outlines are read as their boxes, turned boxes as those around them, within the image.

    An image without a text file shows nothing, as in YOLO's trainers, unless none has one; one that is in two splits counts once. The size of an image is
    that of its file. An image is named by its path from the folder of its split in `images`, or from `images` where another split has
    an image of the same name; elsewhere from the folder of the set.

    Args:
        path: the YAML file, or a folder with `classes.txt` and the folders `images` and `labels`, as Label Studio exports it: there
            the images count that have a text file. Label Studio keeps no folders: where no text file lies in a folder of `labels`, the
            image may lie in any folder.
        images: the folder of images for those that do not lie where the set says; tools export sets without them.

    Raises:
        DataError: a file is missing or malformed, a text file may be of two images, or one of the faults of `checked`.
    """
    if path.is_dir():
        names = _listed_classes(path / CLASSES)
        found = [_image(here, name, text, names) for here, name, text in _beside(path, images)]
        return checked(path, found, names)
    table = read_yaml(path)
    splits = [split for split in SPLITS if table.content.get(split)]
    require(splits, f"{path} has none of {', '.join(SPLITS)}", "name the images of one of them")
    files: dict[Path, str] = {}
    for split in splits:
        for file in listed_images(table.root, table.content[split], f"{path}: {split}"):
            files.setdefault(file, _name(file, table.root, split))
    texts = {file: labels_of(file) for file in files}
    _require_texts(texts, path)
    times = Counter(files.values())
    places = _Places([] if images is None else [images])
    found = []
    for file, short in files.items():
        name = short if times[short] == 1 else _name(file, table.root)
        here, name = (file, name) if file.exists() else places.of_image(file, name)
        found.append(_image(here, name, texts[file], table.class_names))
    return checked(path, found, table.class_names)


def _require_texts(texts: Mapping[Path, Path], path: Path) -> None:
    """Raise a DataError where no image at all has its text file: they lie elsewhere, and the images would show nothing."""
    if texts and not any(text.exists() for text in texts.values()):
        fault = f"{path}: none of {plural(len(texts), 'image')} has its text file, such as {next(iter(texts.values()))}"
        raise DataError(fault, f"put the text files there: the folder {LABELS} lies beside {IMAGES}")


def _image(here: Path, name: str, text: Path, class_names: Sequence[str]) -> AnnotatedImage:
    size = image_size(here, "an image of the YOLO set")
    labels, corners = objects_of(text, len(class_names), size) if text.exists() else ([], [])
    boxes = (LabeledBox(class_names[label], *map(float, box)) for label, box in zip(labels, corners, strict=True))
    return AnnotatedImage(name, size, boxes=tuple(boxes))


def _beside(folder: Path, images: Path | None) -> Iterator[tuple[Path, str, Path]]:
    """For each text file in `labels` the image of the same name, its path from its folder, and the text file."""
    labels = folder / LABELS
    texts = [file for file in files_below(labels) if file.suffix == ".txt"]
    require(texts, f"{folder}: no text file in {labels}", f"put them there: the folder {LABELS} lies beside {IMAGES}")
    flat = all(text.parent == labels for text in texts)
    places = _Places([folder / IMAGES, *([] if images is None else [images])])
    for text in texts:
        here, name = places.of_text(text, text.relative_to(labels).with_suffix("").as_posix(), flat=flat)
        yield here, name, text


class _Places:
    """The folders in which the images of a set may lie. They are searched when an image is first looked for there."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._names: dict[Path, ImageNames] = {}

    def of_image(self, file: Path, name: str) -> tuple[Path, str]:
        """An image that does not lie where its set says: its file, and its path from the folder where it lies."""
        for folder in self._folders:
            if (folder / name).exists():
                return folder / name, name
        fault = f"an image of the YOLO set not found: {file}"
        return self._only(name, fault, f"{file}: the image", exact=False)

    def of_text(self, text: Path, stem: str, *, flat: bool) -> tuple[Path, str]:
        """The image of a text file.

        Args:
            text: the file.
            stem: its path from `labels`, without its ending.
            flat: whether all text files lie in one folder: Label Studio puts them so, whatever the folders of the images.
        """
        fault = f"no image for {text} in {' or '.join(map(str, self._folders))}"
        return self._only(stem, fault, f"{text}: its image", exact=not flat)

    def _below(self, folder: Path) -> ImageNames:
        if folder not in self._names:
            self._names[folder] = ImageNames.below(folder)
        return self._names[folder]

    def _only(self, name: str, fault: str, what: str, *, exact: bool) -> tuple[Path, str]:
        for folder in self._folders:
            names = self._below(folder)
            found = (exact and names.at(name)) or names.meant(name)
            several = f"{what} may be {' or '.join(found[:2])} in {folder}"
            require(len(found) <= 1, several, "rename one of the two, or give an export that keeps folders")
            if found:
                return folder / found[0], found[0]
        raise DataError(fault, "put it there, or take it out of the set")


def _listed_classes(file: Path) -> tuple[str, ...]:
    content = read_data(file, "the classes of the YOLO set")
    try:
        names = tuple(line.strip() for line in decoded_text(content).splitlines() if line.strip())
    except ValueError as error:
        fault = f"{file} is {error}"
        raise DataError(fault) from None
    check_names(names, str(file))
    return names


def _name(file: Path, root: Path, split: str | None = None) -> str:
    """The path of an image from the folder `images`, and from its split there if one is given."""
    path = file.relative_to(root) if file.is_relative_to(root) else file
    parts = [part for part in path.parts if part != "."]
    if IMAGES in parts[:-1]:
        last = max(place for place, part in enumerate(parts[:-1]) if part == IMAGES)
        parts = parts[last + 1 :]
        parts = parts[1:] if len(parts) > 1 and parts[0] == split else parts
    return "/".join(parts)


def write_yolo_annotations(folder: Path, images: Sequence[AnnotatedImage], class_names: Sequence[str]) -> None:
    """Write `data.yaml`, the list `train.txt`, and the predicted boxes in `labels/train`; the images belong into `images/train`.

    Scores are left out, as trainers and tools read five numbers. Sides are rounded to a millionth of the image's.

    Args:
        folder: to write into.
        images: with their sizes.
        class_names: of the boxes.

    Raises:
        DataError: an image with boxes has no size, or two images differ in their suffix alone.
    """
    seen: dict[PurePosixPath, str] = {}
    for image in images:
        text = PurePosixPath(image.file).with_suffix(".txt")
        below = not text.is_absolute() and ".." not in text.parts
        require(below, f"{image.file} lies outside of the folder of images", "put it there")
        other = seen.setdefault(text, image.file)
        require(
            other == image.file, f"{other} and {image.file} would have one text file, {text}", "rename one of the two"
        )
        write_text(folder / "labels/train" / text, "".join(f"{line}\n" for line in _lines(image, class_names)))
    write_text(folder / "train.txt", "".join(f"{IMAGES}/train/{image.file}\n" for image in images))
    table = {"path": ".", "train": "train.txt", "names": dict(enumerate(class_names))}
    write_text(folder / "data.yaml", yaml.safe_dump(table, sort_keys=False, allow_unicode=True))


def _lines(image: AnnotatedImage, class_names: Sequence[str]) -> list[str]:
    lines = []
    for box in image.boxes:
        width, height = known_size(image.size, image.file)
        require(
            box.label in class_names, f"{image.file} has a box of the class {shown(box.label)}, which is not listed"
        )
        center = (box.left + box.right) / 2 / width, (box.top + box.bottom) / 2 / height
        sides = (box.right - box.left) / width, (box.bottom - box.top) / height
        lines.append(" ".join([str(class_names.index(box.label)), *(f"{number:.6f}" for number in (*center, *sides))]))
    return lines
