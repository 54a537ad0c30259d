"""Reading of labels from whatever an annotation tool exports."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from lossbench.garbage import without_garbage_collection
from tasks.datasets.tools.annotated import Annotations
from tasks.datasets.tools.coco import read_coco_annotations
from tasks.datasets.tools.cvat import read_cvat
from tasks.datasets.tools.label_studio.exports import read_label_studio
from tasks.datasets.tools.table import read_class_folders, read_label_table
from tasks.datasets.tools.voc import FOLDER, read_voc_annotations
from tasks.datasets.tools.yolo import CLASSES, read_yolo_annotations
from tasks.errors import DataError, read_data, require
from tasks.images.decoding import is_image
from tasks.images.files import state_of
from tasks.images.folders import files_below

FORMS = (
    "Label Studio's JSON or JSON-MIN, COCO's JSON, CVAT for images 1.1 (XML), YOLO's data.yaml, a CSV or Parquet file with the "
    "columns file and label, a folder of VOC's XML files, or a folder of class folders"
)
DATA_YAML = "data.yaml"
"""Name of the YAML file of a YOLO set that is given as a folder."""
START = 4096
"""Bytes by which the form of a file is told."""
KEPT = 4
"""Exports that were read last and are kept in memory."""


@without_garbage_collection()
def read_annotations(path: Path, images: Path | None = None) -> Annotations:
    """Read the labels of an export; its form is told by its content.

    Boxes and points lie inside their images where the export says the images' sizes; where it does not, and for whether the sizes
    are right, the caller who opens the images has to check.

    Args:
        path: a file or a folder of one of the `FORMS`.
        images: the folder of the images, for forms that need their sizes and do not hold them.

    Raises:
        DataError: it is missing or of no such form, malformed, has an image twice, or classes whose names differ in case or
            white space alone.
    """
    require(path.exists(), f"there are no labels {path}", "give the path of an export")
    if path.is_dir():
        return _folder(path, images)
    if path.suffix.lower() in {".yaml", ".yml"}:
        return read_yolo_annotations(path, images)
    return _of_file(path, state_of(path))


@lru_cache(maxsize=KEPT)
def _of_file(path: Path, _: str) -> Annotations:
    """What a file says that needs no others. A round asks for it more than once; its state tells whether it was written again."""
    if path.suffix.lower() in {".csv", ".parquet"}:
        return read_label_table(path)
    content = read_data(path, "the export")
    start = content[:START].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return read_label_studio(path)
    if start.startswith(b"{") and b'"images"' in content:
        return read_coco_annotations(path)
    if start.startswith(b"<"):
        require(b"<annotation>" not in start, f"{path} is one annotation of VOC", "give the folder of all of them")
        return read_cvat(path)
    raise _unknown(path)


def _folder(path: Path, images: Path | None) -> Annotations:
    if (path / DATA_YAML).is_file():
        return read_yolo_annotations(path / DATA_YAML, images)
    if (path / CLASSES).is_file():
        return read_yolo_annotations(path, images)
    if (path / FOLDER).is_dir() or any(file.suffix == ".xml" for file in files_below(path)):
        return read_voc_annotations(path)
    if any(each.is_dir() for each in path.iterdir()) and any(is_image(each) for each in path.rglob("*")):
        return read_class_folders(path)
    raise _unknown(path)


def _unknown(path: Path) -> DataError:
    return DataError(f"{path} holds no labels in a form that is read", f"give {FORMS}")
