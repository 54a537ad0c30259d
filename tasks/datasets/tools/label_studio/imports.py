"""What Label Studio imports: tasks with predictions, and the labeling configuration that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from xml.etree import ElementTree as ET

from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.datasets.tools.label_studio.brush import packed
from tasks.datasets.tools.shapes import decoded, known_size
from tasks.datasets.tools.writing import write_json, write_text

LOCAL_FILES = "/data/local-files/?d="
"""Begins the address of a file that a Label Studio on the same machine serves from its folder of local files."""
IMAGE = "image"
"""Name of the image in the configuration, and its key in the data of a task."""
FILE = "file"
"""Key in the data of a task of the path that `AnnotatedImage.file` holds."""
PERSON = "person "
"""Begins the note of a joint where an image shows several persons."""
POINT_PERCENT = 0.5
"""Width of a drawn point, in percent of the image's width."""
Control = Literal["choices", "boxes", "points", "strokes", "outlines"]
"""What a person can mark. The names are those of the controls in the configuration; regions are strokes of a brush or outlines."""
_TAGS: dict[Control, tuple[str, str]] = {
    "choices": ("Choices", "Choice"),
    "boxes": ("RectangleLabels", "Label"),
    "points": ("KeyPointLabels", "Label"),
    "strokes": ("BrushLabels", "Label"),
    "outlines": ("PolygonLabels", "Label"),
}
"""Tag of the control, and of each of its classes."""


def write_tasks(
    path: Path,
    images: Sequence[AnnotatedImage],
    scores: Sequence[float],
    *,
    model_version: str,
    prefix: str = "",
    address: str = LOCAL_FILES,
    data: Sequence[Mapping[str, object]] = (),
) -> None:
    """Write the JSON file of tasks that Label Studio imports; its Data Manager can sort them by prediction score.

    Args:
        path: of the file.
        images: what is predicted of each, possibly nothing. Regions become strokes of a brush.
        scores: of each image, in [0, 1], as Label Studio demands.
        model_version: names the model in Label Studio.
        prefix: folders between Label Studio's folder of local files and the images' folder, ending in a slash.
        address: what begins the address of an image; then follow, after a slash if it ends in no slash or `=`, prefix and file, quoted.
        data: more values for each image, which the Data Manager shows as columns.

    Raises:
        DataError: an image with boxes, points or regions has no size.
        ValueError: a score lies outside of [0, 1].
    """
    if not all(0 <= score <= 1 for score in scores):
        msg = f"scores lie in [0, 1], not from {min(scores)} to {max(scores)}"
        raise ValueError(msg)
    begin = address if address.endswith(("/", "=")) or not address else f"{address}/"
    tasks = []
    for number, (image, score) in enumerate(zip(images, scores, strict=True)):
        named = {IMAGE: begin + quote(prefix + image.file), FILE: image.file}
        result = [{"id": f"{number}-{place}", **each} for place, each in enumerate(_results(image))]
        prediction = {"model_version": model_version, "score": float(score), "result": result}
        tasks.append({"data": {**(data[number] if data else {}), **named}, "predictions": [prediction]})
    write_json(path, tasks)


def write_labeling_config(path: Path, class_names: Sequence[str], controls: Sequence[Control]) -> None:
    """Write the labeling configuration: the image, and for each control the classes.

    Args:
        path: of the file.
        class_names: of classes or joints.
        controls: what can be marked. Predicted regions need `strokes`.
    """
    view = ET.Element("View")
    ET.SubElement(view, "Image", name=IMAGE, value=f"${IMAGE}", zoom="true", zoomControl="true")
    for control in controls:
        tag, entry = _TAGS[control]
        more = {"choice": "single"} if control == "choices" else {}
        element = ET.SubElement(view, tag, {"name": control, "toName": IMAGE, **more})
        for name in class_names:
            ET.SubElement(element, entry, value=name)
    ET.indent(view)
    write_text(path, ET.tostring(view, encoding="unicode") + "\n")


def _results(image: AnnotatedImage) -> Iterator[dict[str, Any]]:
    """What is predicted of an image. Places are in percent of its width and height."""
    if image.choices:
        yield {"from_name": "choices", "to_name": IMAGE, "type": "choices", "value": {"choices": list(image.choices)}}
    if not (image.boxes or image.points or image.regions):
        return
    width, height = known_size(image.size, image.file)
    across, down = 100 / width, 100 / height
    common = {"to_name": IMAGE, "original_width": width, "original_height": height, "image_rotation": 0}
    for box in image.boxes:
        sides = {"width": (box.right - box.left) * across, "height": (box.bottom - box.top) * down, "rotation": 0}
        value = {"x": box.left * across, "y": box.top * down, **sides, "rectanglelabels": [box.label]}
        scored = {} if box.score is None else {"score": box.score}
        yield {**common, "from_name": "boxes", "type": "rectanglelabels", "value": value, **scored}
    several = len({point.person for point in image.points}) > 1
    for point in image.points:
        place = {"x": point.x * across, "y": point.y * down, "width": POINT_PERCENT}
        value = {**place, "keypointlabels": [point.label]}
        note = {"meta": {"text": [f"{PERSON}{point.person}"]}} if several else {}
        yield {**common, "from_name": "points", "type": "keypointlabels", "value": value, **note}
    for region in image.regions:
        value = {"format": "rle", "rle": packed(decoded(region.mask)), "brushlabels": [region.label]}
        yield {**common, "from_name": "strokes", "type": "brushlabels", "value": value}
