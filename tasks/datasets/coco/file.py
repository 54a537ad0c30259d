"""COCO's JSON form (Lin et al. 2014): its lists of images, categories and annotations, checked entry by entry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lossbench.files import first_fault, parsed_json
from lossbench.garbage import without_garbage_collection
from tasks.datasets.objects import check_names
from tasks.errors import DataError, read_data, require
from tasks.images.decoding import image_size
from tasks.settings import Whole


class Table(BaseModel):
    """What is read of an entry; other fields are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Image(Table):
    """An entry of `images`."""

    id: Whole
    file_name: str = Field(min_length=1, max_length=1000)
    width: Whole = Field(ge=1)
    height: Whole = Field(ge=1)


class Category(Table):
    """An entry of `categories`."""

    id: Whole
    name: str = Field(max_length=1000)


class Entry(Table):
    """An entry of `annotations`."""

    id: Whole | None = None
    image_id: Whole
    category_id: Whole
    iscrowd: Whole = Field(default=0, ge=0, le=1)


T = TypeVar("T", bound=Table)
A = TypeVar("A", bound=Entry)
C = TypeVar("C", bound=Category)


@dataclass(frozen=True)
class CocoFile(Generic[A, C]):
    """The content of a file, checked entry by entry."""

    path: Path
    images: tuple[Image, ...]
    categories: tuple[C, ...]
    annotations: tuple[A, ...]
    digest: str
    """SHA-256 of the file."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the file."""
        return tuple(category.name for category in self.categories)

    def by_image(self) -> dict[int, list[A]]:
        """The annotations of each image by its id, in the order of the file.

        Raises:
            DataError: an annotation is of an unknown image or category.
        """
        known, found = {each.id for each in self.categories}, {each.id: [] for each in self.images}
        for annotation in self.annotations:
            where = f"{self.path}: the annotation {annotation.id}"
            require(annotation.image_id in found, f"{where} is of image {annotation.image_id}, which is not listed")
            require(
                annotation.category_id in known, f"{where} is of category {annotation.category_id}, which is not listed"
            )
            found[annotation.image_id].append(annotation)
        return found

    def checked_image(self, image: Image, folder: Path) -> Path:
        """The file of an image; a DataError if it is missing or of another size than the COCO file says."""
        path, size = folder / image.file_name, (image.width, image.height)
        real = image_size(path, "an image of the COCO file")
        require(real == size, f"{path} has {real[0]}x{real[1]} pixels, and {self.path} says {size[0]}x{size[1]}")
        return path


@without_garbage_collection()
def read_entries(path: Path, annotation: type[A], category: type[C]) -> CocoFile[A, C]:
    """Read a file of COCO's form.

    Args:
        path: of the file.
        annotation: what is read of an entry of `annotations`.
        category: what is read of an entry of `categories`.

    Raises:
        DataError: it is missing, no JSON of this form, has no categories, or an id twice.
    """
    content = coco_lists(path, ("images", "categories", "annotations"))
    images = coco_entries(content["images"], Image, f"{path}: images")
    categories = coco_entries(content["categories"], category, f"{path}: categories")
    annotations = coco_entries(content["annotations"], annotation, f"{path}: annotations")
    for entries, name in ((images, "image"), (categories, "category")):
        check_ids([entry.id for entry in entries], f"{path}: the {name}")
    check_names([each.name for each in categories], str(path))
    require(images, f"{path} has no images")
    digest = hashlib.sha256(read_data(path, "the COCO file")).hexdigest()
    return CocoFile(path, tuple(images), tuple(categories), tuple(annotations), digest)


def coco_lists(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """The content of a JSON file that has these lists.

    Raises:
        DataError: it is missing, no JSON, or lacks a list.
    """
    try:
        content = parsed_json(read_data(path, "the COCO file"))
    except ValueError as error:
        fault = f"the COCO file {path} cannot be read ({error})"
        raise error if isinstance(error, DataError) else DataError(fault) from None
    require(isinstance(content, Mapping), f"{path} is no COCO file: it holds no table of images and categories")
    for name in names:
        require(isinstance(content.get(name), list), f"{path} is no COCO file: it has no list {name!r}")
    return content


def coco_entries(given: list[Any], table: type[T], where: str) -> list[T]:
    """The entries of a list; a DataError names the first that is malformed."""
    found = []
    for number, entry in enumerate(given):
        try:
            found.append(table.model_validate(entry))
        except ValidationError as error:
            fault = f"{where}, entry {number}: {first_fault(error)}"
            raise DataError(fault) from None
    return found


def check_ids(ids: Sequence[int], what: str) -> None:
    """Raise a DataError where an id is given twice."""
    seen: set[int] = set()
    for each in ids:
        require(each not in seen, f"{what} {each} is listed twice", "give each an id of its own")
        seen.add(each)
