"""One class for each image: tables of paths and labels, and folders of class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tasks.datasets.classes.class_files import class_folders, read_table
from tasks.datasets.tools.annotated import AnnotatedImage, Annotations
from tasks.datasets.tools.checking import checked
from tasks.errors import require

FILE_COLUMNS = ("file", "path")
"""Either names the image."""
LABEL = "label"


def read_label_table(path: Path) -> Annotations:
    """Read a CSV or Parquet file with the columns `file` or `path`, and `label`. Rows without a label count as skipped.

    Raises:
        DataError: the table cannot be read or lacks a column, or a row names no image, or one of the faults of `checked`.
    """
    table = read_table(path)
    columns = ", ".join(map(str, table.columns))
    column = next((name for name in FILE_COLUMNS if name in table), None)
    wanted = column is not None and LABEL in table
    require(wanted, f"{path} has the columns {columns}", "columns are file or path, and label")
    images, skipped = [], []
    for number, (file, label) in enumerate(zip(table[column], table[LABEL], strict=True), 1):
        name, text = _text(file), _text(label)
        require(name, f"{path}: row {number} names no image")
        if text:
            images.append(AnnotatedImage(name, choices=(text,)))
        else:
            skipped.append(name)
    return checked(path, images, skipped=skipped)


def read_class_folders(folder: Path) -> Annotations:
    """Read a folder with a folder of images for each class, or two of these, `train` and `test`.

    An image is named by its path from the folder, with the folder of its class.

    Raises:
        DataError: a class has no image, or one of the faults of `checked`.
    """
    found = class_folders(folder)
    images = (
        AnnotatedImage(file.relative_to(folder).as_posix(), choices=(label,))
        for file, label in zip(found.files, found.labels, strict=True)
    )
    return checked(folder, images, tuple(dict.fromkeys(sorted(found.labels))))


def _text(cell: Any) -> str:
    """A cell as text; empty where it has none."""
    if cell is None or pd.isna(cell):
        return ""
    whole = isinstance(cell, float) and cell.is_integer()  # a column of whole numbers with gaps
    return str(int(cell) if whole else cell).strip()
