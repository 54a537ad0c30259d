"""CVAT's XML form "CVAT for images 1.1"."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from lossbench.files import shown
from lossbench.words import plural
from tasks.datasets.objects import check_names
from tasks.datasets.tools.annotated import AnnotatedImage, Annotations, LabeledBox, LabeledPoint, LabeledRegion, Shape
from tasks.datasets.tools.checking import checked
from tasks.datasets.tools.shapes import bounds, decoded, inside_box, known_size, outlined, runs_of, upright
from tasks.datasets.tools.writing import require_labels, write_text
from tasks.datasets.xml_files import xml_root
from tasks.errors import DataError, require
from tasks.notices import notice

FORM = "export it as CVAT for images 1.1"
TYPES: dict[Shape, tuple[str, ...]] = {
    "choices": ("tag",),
    "boxes": ("rectangle",),
    "points": ("points",),
    "regions": ("polygon", "mask"),
}
"""The types of labels in a task of CVAT, by what they mark."""
TASK = "lossbench"
"""Name of the task that is written; CVAT does not read it. Its own exports have the task's `id`, too."""


def read_cvat(path: Path) -> Annotations:
    """Read boxes, outlines, masks, points, skeletons and tags.

    A turned box is read as the upright box around it, within the image. Points that share a `group_id`, and those of one skeleton, are of one
    person; what is `outside` is not marked, and what is `occluded` is. Regions are in the order of `z_order`. CVAT does not tell
    images that are not done from those that show nothing: both are read as showing nothing, so export jobs that are finished.
    The class list has the joints of a skeleton instead of its name. One line counts shapes that are not read: lines,
    ellipses, cuboids; an image with nothing else counts as skipped. Whether an image has the size that the export says is for the caller to check.

    Raises:
        DataError: the file is missing or of another form, a shape is malformed, the shapes are predictions that `write_cvat` wrote, or one of the faults of `checked`.
    """
    root = xml_root(path, "annotations", "an export of CVAT", FORM)
    require(root.find("track") is None, f"{path} holds tracks of a video", FORM)
    task = root.find("meta/task")
    written = task is not None and task.findtext("name") == TASK and task.find("id") is None
    require_labels(not written, f"{path}: its shapes")
    images, skipped, unread = [], [], Counter[str]()
    for number, element in enumerate(root.findall("image")):
        name = (element.get("name") or "").strip()
        require(name, f"{path}: image {number} has no name", FORM)
        before = unread.total()
        image = _Shapes(name, _size(element, f"{path}, {name}"), f"{path}, {name}").read(element, unread)
        if image.is_empty and unread.total() > before:
            skipped.append(name)
        else:
            images.append(image)
    for kind, count in unread.items():
        notice(f"{path}: {plural(count, 'shape')} of the kind {kind} cannot be read, and are left out")
    labels = [
        each for each in root.findall("meta//labels/label") if (each.findtext("type") or "").strip() != "skeleton"
    ]
    names = dict.fromkeys((each.findtext("name") or "").strip() for each in labels)
    if names:
        check_names(list(names), str(path))
    return checked(path, images, tuple(names), skipped)._replace(by_shape=_by_shape(labels))


def _by_shape(labels: Sequence[ET.Element]) -> dict[Shape, tuple[str, ...]]:
    """The labels that CVAT offers for each shape; those of any type are no joints where there are some of type points."""
    given = [((each.findtext("name") or "").strip(), (each.findtext("type") or "any").strip()) for each in labels]
    found: dict[Shape, tuple[str, ...]] = {
        shape: tuple(dict.fromkeys(name for name, type_ in given if type_ in {"any", *types}))
        for shape, types in TYPES.items()
    }
    joints = tuple(dict.fromkeys(name for name, type_ in given if type_ in TYPES["points"]))
    if joints:
        found["points"] = joints
    return found


class _Shapes:
    """What an image shows."""

    def __init__(self, name: str, size: tuple[int, int] | None, where: str) -> None:
        self._name, self._size, self._where = name, size, where
        self._tags: list[str] = []
        self._boxes: list[LabeledBox] = []
        self._points: list[LabeledPoint] = []
        self._regions: list[tuple[float, LabeledRegion]] = []
        self._persons: dict[str, int] = {}

    def read(self, image: ET.Element, unread: Counter[str]) -> AnnotatedImage:
        """Read the shapes of an image; counts those that are not read."""
        kinds = {
            "box": self._box,
            "polygon": self._polygon,
            "mask": self._mask,
            "points": self._place,
            "skeleton": self._skeleton,
        }
        for number, element in enumerate(image):
            where = f"{self._where}, {element.tag} {number}"
            if element.get("outside") == "1":
                continue
            if element.tag == "tag":
                self._tags.append(_label(element, where))
            elif element.tag in kinds:
                kinds[element.tag](element, where)
            else:
                unread[element.tag] += 1
        regions = sorted(self._regions, key=lambda each: each[0])
        return AnnotatedImage(
            self._name,
            self._size,
            tuple(self._tags),
            tuple(self._boxes),
            tuple(self._points),
            tuple(region for _, region in regions),
        )

    def _box(self, element: ET.Element, where: str) -> None:
        left, top, right, bottom = _numbers(element, ("xtl", "ytl", "xbr", "ybr"), where)
        (degrees,) = _numbers(element, ("rotation",), where) if element.get("rotation") else (0.0,)
        box = upright((left, top, right, bottom), degrees, ((left + right) / 2, (top + bottom) / 2), self._size)
        self._boxes.append(LabeledBox(_label(element, where), *box))

    def _polygon(self, element: ET.Element, where: str) -> None:
        corners = [side for corner in _pairs(element, where) for side in corner]
        self._add(element, LabeledRegion(_label(element, where), outlined([corners], self._size, where)), where)

    def _mask(self, element: ET.Element, where: str) -> None:
        left, top, width, height = (int(side) for side in _numbers(element, ("left", "top", "width", "height"), where))
        text = element.get("rle") or ""
        try:
            runs = [int(run) for run in text.split(",")]
        except ValueError:
            fault = f"{where}: its rle is {shown(text)}"
            raise DataError(fault, "write run lengths with commas between") from None
        mask = inside_box(runs, (left, top, width, height), known_size(self._size, where), where)
        self._add(element, LabeledRegion(_label(element, where), mask), where)

    def _add(self, element: ET.Element, region: LabeledRegion, where: str) -> None:
        (depth,) = _numbers(element, ("z_order",), where) if element.get("z_order") else (0.0,)
        self._regions.append((depth, region))

    def _place(self, element: ET.Element, where: str) -> None:
        person = self._person(f"group {element.get('group_id') or 0}")
        label = _label(element, where)
        self._points += [LabeledPoint(label, x, y, person) for x, y in _pairs(element, where)]

    def _skeleton(self, element: ET.Element, where: str) -> None:
        joints = [each for each in element.findall("points") if each.get("outside") != "1"]
        person = self._person(f"skeleton {where}") if joints else 0
        for joint in joints:
            label = _label(joint, where)
            self._points += [LabeledPoint(label, x, y, person) for x, y in _pairs(joint, where)]

    def _person(self, key: str) -> int:
        return self._persons.setdefault(key, len(self._persons))


def _size(element: ET.Element, where: str) -> tuple[int, int] | None:
    """Width and height; None where the image has none, or 0."""
    if not (element.get("width") and element.get("height")):
        return None
    width, height = (int(side) for side in _numbers(element, ("width", "height"), where))
    return (width, height) if width > 0 and height > 0 else None


def _label(element: ET.Element, where: str) -> str:
    label = element.get("label") or ""
    require(label.strip(), f"{where} has no label", "give it one")
    return label


def _numbers(element: ET.Element, names: Sequence[str], where: str) -> list[float]:
    texts = [element.get(name) or "" for name in names]
    return _floats(texts, f"{where}: {', '.join(names)}")


def _pairs(element: ET.Element, where: str) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in (element.get("points") or "").split(";")]
    right = all(len(pair) == len(("x", "y")) for pair in pairs)
    require(right, f"{where}: its points are {shown(element.get('points'))}", "write x,y;x,y")
    return [(x, y) for x, y in (_floats(pair, f"{where}: points") for pair in pairs)]


def _floats(texts: Sequence[str], where: str) -> list[float]:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = [math.nan]
    require(
        all(math.isfinite(number) for number in numbers), f"{where} are {shown(list(texts))}", "correct or remove it"
    )
    return numbers


def write_cvat(path: Path, images: Sequence[AnnotatedImage], class_names: Sequence[str]) -> None:
    """Write predictions as CVAT reads them into a task with these images and labels. Places are rounded to hundredths of a pixel.

    Empty regions and scores are left out.

    Args:
        path: of the file.
        images: with their sizes; those without are written without.
        class_names: the labels.
    """
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    ET.SubElement(task, "name").text = TASK
    ET.SubElement(task, "size").text = str(len(images))
    labels = ET.SubElement(task, "labels")
    for name in class_names:
        ET.SubElement(ET.SubElement(labels, "label"), "name").text = name
    for number, image in enumerate(images):
        sides = {} if image.size is None else {"width": str(image.size[0]), "height": str(image.size[1])}
        _write_shapes(ET.SubElement(root, "image", {"id": str(number), "name": image.file, **sides}), image)
    ET.indent(root)
    write_text(path, '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def _write_shapes(element: ET.Element, image: AnnotatedImage) -> None:
    common = {"source": "auto", "occluded": "0"}
    for box in image.boxes:
        sides = {"xtl": box.left, "ytl": box.top, "xbr": box.right, "ybr": box.bottom}
        texts = {name: f"{side:.2f}" for name, side in sides.items()}
        ET.SubElement(element, "box", {"label": box.label, **common, **texts, "z_order": "0"})
    for point in image.points:
        place = {"points": f"{point.x:.2f},{point.y:.2f}", "z_order": "0", "group_id": str(point.person + 1)}
        ET.SubElement(element, "points", {"label": point.label, **common, **place})
    for depth, region in enumerate(image.regions):
        pixels = decoded(region.mask)
        if not pixels.any():
            continue
        left, top, width, height = bounds(pixels)
        runs = runs_of(pixels[top : top + height, left : left + width].reshape(-1))
        sides = {"left": left, "top": top, "width": width, "height": height, "z_order": depth}
        texts = {name: str(side) for name, side in sides.items()}
        ET.SubElement(element, "mask", {"label": region.label, **common, "rle": ", ".join(map(str, runs)), **texts})
    for label in image.choices:
        ET.SubElement(element, "tag", {"label": label, "source": "auto"})
