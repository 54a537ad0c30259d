"""Regions of Label Studio: what one annotation says of an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lossbench.files import shown
from tasks.datasets.tools.annotated import AnnotatedImage, LabeledBox, LabeledPoint, LabeledRegion
from tasks.datasets.tools.label_studio.brush import unpacked
from tasks.datasets.tools.label_studio.imports import PERSON
from tasks.datasets.tools.shapes import encoded, known_size, outlined, upright
from tasks.errors import DataError, require

LABEL_KEYS = ("rectanglelabels", "polygonlabels", "brushlabels", "keypointlabels", "labels")
"""Keys of a region's value that hold its classes."""
LARGEST = 1e9
"""Percent of an image. More, infinite and NaN are no place."""


class Result(BaseModel):
    """A region, or a choice."""

    model_config = ConfigDict(frozen=True)

    id: str | None = None
    type: str = "region"
    value: dict[str, Any] = Field(default_factory=dict)
    original_width: int | None = Field(default=None, ge=1)
    original_height: int | None = Field(default=None, ge=1)
    image_rotation: float | None = None
    parent: str | None = Field(default=None, alias="parentID")
    meta: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        """The same for what says something of the same region."""
        return self.id or repr([self.value.get(key) for key in ("x", "y", "width", "height", "points", "rle")])

    @property
    def labels(self) -> list[Any] | None:
        """Its classes; None where it is of no class."""
        found = next((self.value[key] for key in LABEL_KEYS if key in self.value), None)
        return found if isinstance(found, list) and found else None

    @property
    def of_image(self) -> bool:
        """Whether it says something of the image as a whole."""
        return not self.value.keys() & {"x", "points", "rle"}


def annotated(name: str, results: Sequence[Result], where: str, unread: Counter[str]) -> AnnotatedImage:
    """What an annotation says of an image.

    Args:
        name: of the image.
        results: of the annotation.
        where: names file and image in a message.
        unread: counts the types of what cannot be read.

    Raises:
        DataError: a region is of no class, malformed, or on a turned image.
    """
    size = _size(results, where)
    classes = {each.place: each.labels for each in results if each.labels}
    regions = _Regions(size, where)
    choices: list[str] = []
    read: set[tuple[str, str]] = set()
    for number, result in enumerate(results):
        region = f"{where}, region {result.id or number}"
        if "choices" in result.value and result.of_image and result.place not in classes:
            choices += _texts(result.value["choices"], region)
            continue
        kind = _kind(result.value)
        if kind is None or "choices" in result.value:
            unread[result.type] += 1
            continue
        labels = _texts(result.labels or classes.get(result.place), region)
        if (result.place, str(labels)) not in read:
            read.add((result.place, str(labels)))
            regions.add(kind, labels, result, region)
    return AnnotatedImage(
        name, size, tuple(choices), tuple(regions.boxes), tuple(regions.points), tuple(regions.regions)
    )


class _Regions:
    """The regions of an image, in pixels."""

    def __init__(self, size: tuple[int, int] | None, where: str) -> None:
        self._size, self._where = size, where
        self._persons: dict[str, int] = {}
        self.boxes: list[LabeledBox] = []
        self.points: list[LabeledPoint] = []
        self.regions: list[LabeledRegion] = []

    def add(self, kind: str, labels: Sequence[str], result: Result, region: str) -> None:
        """Add what a result says, once for each of its classes."""
        width, height = known_size(self._size, region)
        require(
            not (result.image_rotation or 0) % 360,
            f"{region} is on an image that was turned",
            "turn it back in Label Studio",
        )
        value = result.value
        if kind == "rectangle":
            x, y, wide, high, degrees = _numbers(
                {"rotation": 0} | value, ("x", "y", "width", "height", "rotation"), region
            )
            left, top = x * width / 100, y * height / 100
            corners = (left, top, left + wide * width / 100, top + high * height / 100)
            box = upright(corners, degrees, (left, top), (width, height))
            self.boxes += [LabeledBox(label, *box) for label in labels]
        elif kind == "point":
            x, y = _numbers(value, ("x", "y"), region)
            person = self._persons.setdefault(_person(result), len(self._persons))
            self.points += [LabeledPoint(label, x * width / 100, y * height / 100, person) for label in labels]
        else:
            mask = self._outline(value, region) if kind == "outline" else self._stroke(value, region)
            self.regions += [LabeledRegion(label, mask) for label in labels]

    def _outline(self, value: dict[str, Any], region: str) -> dict[str, Any]:
        width, height = known_size(self._size, region)
        places = [dict(enumerate(point)) if isinstance(point, list) else {} for point in value["points"] or ()]
        corners = [_numbers(place, (0, 1), region) for place in places]
        return outlined(
            [[side for x, y in corners for side in (x * width / 100, y * height / 100)]], self._size, region
        )

    def _stroke(self, value: dict[str, Any], region: str) -> dict[str, Any]:
        require(
            isinstance(value["rle"], list), f"{region}: its brush strokes are {shown(value['rle'])}", "export it again"
        )
        try:
            return encoded(unpacked(bytes(value["rle"]), known_size(self._size, region)))
        except (ValueError, TypeError) as error:
            fault = f"{region}: its brush strokes cannot be read ({error})"
            raise error if isinstance(error, DataError) else DataError(fault, "export it again") from None


def _kind(value: dict[str, Any]) -> str | None:
    """The shape of a region by its value; None for one that is not read."""
    if "rle" in value:
        return "stroke"
    if "points" in value:
        return "outline"
    if {"x", "y", "width", "height"} <= value.keys():
        return "rectangle"
    return "point" if {"x", "y"} <= value.keys() and "radiusX" not in value else None


def _size(results: Sequence[Result], where: str) -> tuple[int, int] | None:
    """Width and height of the image; None where nothing is marked in it."""
    sizes = {
        (each.original_width, each.original_height) for each in results if each.original_width and each.original_height
    }
    require(
        len(sizes) <= 1, f"{where}: its regions say that the image has {shown(sorted(sizes))} pixels", "export it again"
    )
    return next(((width, height) for width, height in sizes if width and height), None)


def _person(result: Result) -> str:
    """Tells the persons of an image apart."""
    texts = (result.meta or {}).get("text")
    notes = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
    return next((text for text in notes if text.startswith(PERSON)), result.parent or "")


def _texts(given: object, region: str) -> list[str]:
    """The classes of a region, or of an image."""
    labels = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
    require(
        labels and labels == given,
        f"{region} has no class, but {shown(given)}",
        "give it one in Label Studio, or remove it",
    )
    return labels


def _numbers(value: dict[Any, Any], keys: Sequence[object], region: str) -> list[float]:
    found = [value.get(key) for key in keys]
    numbers = [float(each) for each in found if isinstance(each, int | float) and abs(each) < LARGEST]
    require(
        len(numbers) == len(found), f"{region}: {', '.join(map(str, keys))} are {shown(found)}", "correct or remove it"
    )
    return numbers
