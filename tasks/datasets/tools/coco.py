"""COCO's JSON form, as tools export it and read pre-annotations from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from lossbench.words import plural
from tasks.datasets.coco.file import Table, check_ids, coco_entries, coco_lists
from tasks.datasets.objects import check_names
from tasks.datasets.tools.annotated import AnnotatedImage, Annotations, LabeledBox, LabeledPoint, LabeledRegion
from tasks.datasets.tools.checking import checked
from tasks.datasets.tools.label_studio.exports import named_by
from tasks.datasets.tools.shapes import Mask, boxes_around, coco_mask, from_runs, known_size, outlined
from tasks.datasets.tools.writing import PREDICTIONS, require_labels, write_json
from tasks.errors import require
from tasks.settings import Number, Whole

BOX_SIDES = 4
PERSON = "person"
"""The category of all joints that are written."""
INFO = {"description": PREDICTIONS}
"""Of a file of predictions: a region or a joint has no score that says so."""
VISIBLE = 2
"""Of a joint; 1 is marked, but covered, and 0 is not marked."""


class _Image(Table):
    id: Whole
    file_name: str = Field(min_length=1, max_length=1000)
    width: Number | None = None
    height: Number | None = None

    @property
    def name(self) -> str:
        """Its file; Label Studio writes the addresses of images that it does not export."""
        address = self.file_name.startswith("/data/") or "://" in self.file_name
        return named_by(self.file_name) if address else self.file_name

    @property
    def size(self) -> tuple[int, int] | None:
        """None where the tool did not know it, and wrote 0, -1 or nothing."""
        width, height = int(self.width or 0), int(self.height or 0)
        return (width, height) if width > 0 and height > 0 else None


class _Category(Table):
    id: Whole
    name: str = Field(max_length=1000)
    keypoints: tuple[str, ...] = ()
    """Names of joints."""


class _Annotation(Table):
    id: Whole | None = None
    image_id: Whole
    category_id: Whole
    bbox: tuple[Number, ...] | None = None
    """Left, top, width and height in pixels."""
    segmentation: list[list[Number]] | dict[str, Any] | None = None
    """Outlines, or run lengths."""
    keypoints: tuple[Number, ...] | None = None
    """x, y and visibility of each joint."""
    iscrowd: Whole = Field(default=0, ge=0, le=1)
    score: Number | None = None
    """Of a prediction."""


def read_coco_annotations(path: Path) -> Annotations:
    """Read boxes, masks and joints.

    An image without annotations shows nothing, as COCO has no other way to say so. An object without a box has the one around its
    outline or mask. A crowd gives a region and no box; an image with nothing but crowds counts as skipped. Joints of visibility 0 are not marked. A width or height of 0, -1 or nothing is
    not known, and then only boxes and joints can be read; whether a size is that of the file is for the caller to check. Ids may
    have gaps. Of a category with joints the points have the names of joints, and boxes and regions its own name.

    Raises:
        DataError: the file is malformed, an annotation is of an unknown image or category, holds nothing, is malformed or has a score, or one
            of the faults of `checked`.
    """
    content = coco_lists(path, ("images", "annotations"))
    require_labels(content.get("info") != INFO, f"{path}: its annotations")
    images = coco_entries(content["images"], _Image, f"{path}: images")
    annotations = coco_entries(content["annotations"], _Annotation, f"{path}: annotations")
    listed = content.get("categories") or []
    require(
        isinstance(listed, list) and (listed or not annotations),
        f"{path} has no list of categories",
        "export it with them",
    )
    categories = {each.id: each for each in coco_entries(listed, _Category, f"{path}: categories")}
    check_ids([each.id for each in images], f"{path}: the image")
    require(len(categories) == len(listed), f"{path}: a category is listed twice", "give each an id of its own")
    if categories:
        check_names([each.name for each in categories.values()], str(path))
    known = {each.id for each in images}
    by_image: dict[int, list[tuple[str, _Annotation]]] = defaultdict(list)
    for number, each in enumerate(annotations):
        where = f"annotation {number if each.id is None else each.id}"
        require(each.image_id in known, f"{path}: the {where} is of image {each.image_id}, which is not listed")
        require(
            each.category_id in categories,
            f"{path}: the {where} is of category {each.category_id}, which is not listed",
        )
        by_image[each.image_id].append((where, each))
    scored = sum(each.score is not None for each in annotations)
    require_labels(not scored, f"{path}: {plural(scored, 'annotation')} with a score")
    skipped = {each.id: each.name for each in images if _only_crowds(by_image[each.id])}
    found = [_image(each, by_image[each.id], categories, path) for each in images if each.id not in skipped]
    names = dict.fromkeys(name for each in categories.values() for name in each.keypoints or (each.name,))
    joints = tuple(dict.fromkeys(name for each in categories.values() for name in each.keypoints))
    whole = tuple(each.name for each in categories.values())
    annotated = checked(path, found, tuple(names), skipped.values())
    return annotated._replace(
        outlines_in_boxes=True, by_shape={"boxes": whole, "regions": whole, "points": joints or whole}
    )


def _only_crowds(annotations: Sequence[tuple[str, _Annotation]]) -> bool:
    return bool(annotations) and all(each.iscrowd for _, each in annotations)


def _image(
    image: _Image, annotations: Sequence[tuple[str, _Annotation]], categories: dict[int, _Category], path: Path
) -> AnnotatedImage:
    boxes: list[LabeledBox] = []
    points: list[LabeledPoint] = []
    regions: list[LabeledRegion] = []
    for place, each in annotations:
        where, category = f"{path}, {image.name}, {place}", categories[each.category_id]
        require(each.bbox or each.segmentation or each.keypoints, f"{where} has no box, mask or keypoints", "remove it")
        if each.bbox and not each.iscrowd:
            require(
                len(each.bbox) == BOX_SIDES,
                f"{where}: bbox has {len(each.bbox)} numbers",
                "write left, top, width and height",
            )
            left, top, width, height = each.bbox
            boxes.append(LabeledBox(category.name, left, top, left + width, top + height))
        if each.segmentation:
            region = LabeledRegion(category.name, _mask(each.segmentation, image.size, where))
            regions.append(region)
            boxes += () if each.bbox or each.iscrowd else boxes_around([region])
        person = len({point.person for point in points})
        points += _joints(each.keypoints or (), category, person, where)
    return AnnotatedImage(image.name, image.size, (), tuple(boxes), tuple(points), tuple(regions))


def _mask(segmentation: list[list[float]] | dict[str, Any], size: tuple[int, int] | None, where: str) -> Mask:
    if isinstance(segmentation, list):
        return outlined(segmentation, size, where)
    given = segmentation.get("size")
    of_runs = (given[1], given[0]) if isinstance(given, list) and len(given) == len(("height", "width")) else None
    right = of_runs is not None and all(isinstance(side, int) and side > 0 for side in of_runs)
    require(
        right and size in {None, of_runs},
        f"{where}: its mask has the size {given}, and its image {size}",
        "put the mask there that is of this image",
    )
    return from_runs(segmentation.get("counts"), of_runs, where)


def _joints(keypoints: Sequence[float], category: _Category, person: int, where: str) -> Iterator[LabeledPoint]:
    """The labeled joints, as annotation tools write them: from the corner of the image, and not from the center of a pixel."""
    wanted = 3 * len(category.keypoints)
    fault = f"{where} has {len(keypoints)} numbers of keypoints, and the {len(category.keypoints)} joints of {category.name} need {wanted}"
    require(len(keypoints) in {0, wanted}, fault, "write x, y and visibility of each joint that the category lists")
    for number, joint in enumerate(category.keypoints if keypoints else ()):
        x, y, visibility = keypoints[3 * number : 3 * number + 3]
        if visibility > 0:
            yield LabeledPoint(joint, x, y, person)


def write_coco_annotations(path: Path, images: Sequence[AnnotatedImage], class_names: Sequence[str]) -> None:
    """Write predictions, each with its score where it has one. COCO has no classes of whole images.

    Args:
        path: of the file.
        images: with their sizes.
        class_names: of boxes and regions, or the joints, if an image has points.

    Raises:
        DataError: an image has no size.
    """
    joints = list(class_names) if any(image.points for image in images) else []
    names = [PERSON] if joints else list(class_names)
    ids = {name: number for number, name in enumerate(names, 1)}
    entries: list[dict[str, Any]] = []
    files = []
    for number, image in enumerate(images, 1):
        width, height = known_size(image.size, image.file)
        files.append({"id": number, "file_name": image.file, "width": width, "height": height})
        for entry in (*_of_shapes(image, ids), *_of_persons(image, joints)):
            entries.append({"id": len(entries) + 1, "image_id": number, **entry, "iscrowd": 0})
    categories = [
        {"id": ids[name], "name": name} | ({"keypoints": joints, "skeleton": []} if joints else {}) for name in names
    ]
    write_json(path, {"info": INFO, "images": files, "categories": categories, "annotations": entries})


def _of_shapes(image: AnnotatedImage, ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    for box in image.boxes:
        wide, high = box.right - box.left, box.bottom - box.top
        scored = {} if box.score is None else {"score": box.score}
        sides = {"bbox": [box.left, box.top, wide, high], "area": wide * high, "segmentation": []}
        yield {"category_id": ids[box.label], **sides, **scored}
    for region in image.regions:
        runs = {"size": list(region.mask["size"]), "counts": region.mask["counts"].decode()}
        area, bbox = float(coco_mask.area(region.mask)), coco_mask.toBbox(region.mask).tolist()
        yield {"category_id": ids[region.label], "bbox": bbox, "area": area, "segmentation": runs}


def _of_persons(image: AnnotatedImage, joints: Sequence[str]) -> Iterator[dict[str, Any]]:
    width, height = known_size(image.size, image.file)
    for person in dict.fromkeys(point.person for point in image.points):
        found = {point.label: point for point in image.points if point.person == person}
        triples = [(found[joint].x, found[joint].y, VISIBLE) if joint in found else (0, 0, 0) for joint in joints]
        spans = (([point.x for point in found.values()], width), ([point.y for point in found.values()], height))
        (left, wide), (top, high) = (_around(places, most) for places, most in spans)
        yield {
            "category_id": 1, "bbox": [left, top, wide, high], "area": wide * high, "num_keypoints": len(found),
            "keypoints": [value for triple in triples for value in triple],
        }  # fmt: skip


def _around(places: Sequence[float], most: int) -> tuple[float, float]:
    """Start and length of the span of some places, half a pixel wider on each side within the image: one joint has no area."""
    start, end = max(min(places) - 0.5, 0.0), min(max(places) + 0.5, float(most))
    return start, end - start
