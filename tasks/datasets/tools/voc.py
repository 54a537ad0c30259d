"""Folders of annotations in PASCAL VOC's form: one XML file for each image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from tasks.datasets.tools.annotated import AnnotatedImage, Annotations, LabeledBox
from tasks.datasets.tools.checking import checked
from tasks.datasets.voc import annotation_root, corners_of
from tasks.errors import require
from tasks.images.folders import files_below

FOLDER = "Annotations"
"""Of the XML files in a tree of VOC."""
ADVICE = "export it again"


def read_voc_annotations(folder: Path) -> Annotations:
    """Read the boxes of all XML files in a folder, or in its folder `Annotations`.

    Coordinates count from 1, and the last pixel is included, as in VOC; of tools that count from 0 the boxes are a pixel larger,
    and are cut at the border. Without `size`, or where it is 0, the size is not known, and the caller who opens the image has to
    check the boxes. `difficult` objects are read as others. An image is named by `filename` in the folder where its XML file
    lies, or by the name of the XML file.

    Raises:
        DataError: there is no XML file, one is malformed, or one of the faults of `checked`.
    """
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    files = [file for file in files_below(root) if file.suffix == ".xml"]
    require(files, f"{folder} has no annotation of VOC, which are XML files")
    return checked(folder, (_image(file, root) for file in files))


def _image(file: Path, folder: Path) -> AnnotatedImage:
    root = annotation_root(file, ADVICE)
    given = (root.findtext("filename") or "").strip().replace("\\", "/")
    parts = file.relative_to(folder).parent.parts
    after = len(parts) - parts[::-1].index(FOLDER) if FOLDER in parts else 0
    name = PurePosixPath(*parts[after:], PurePosixPath(given).name or file.stem)
    boxes = []
    for number, element in enumerate(root.findall("object"), 1):
        label = (element.findtext("name") or "").strip()
        require(label, f"{file}: object {number} has no name", "name its class, or remove it")
        boxes.append(LabeledBox(label, *corners_of(element, file)))
    return AnnotatedImage(str(name), _size(root), boxes=tuple(boxes))


def _size(root: ET.Element) -> tuple[int, int] | None:
    texts = [(root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    width, height = (
        int(text) if text.isascii() and text.isdecimal() and len(text) <= len("99999") else 0 for text in texts
    )
    return (width, height) if width and height else None
