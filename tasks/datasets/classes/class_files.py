"""Image files with one class each: folders of classes, and tables of paths and labels."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.datasets.classes.classified import ClassifiedImages, check_classes, held_out, split_order
from tasks.datasets.splits import require_apart
from tasks.errors import DataError, require, require_file, require_path
from tasks.images.decoding import SUFFIXES, is_image
from tasks.images.folders import files_below, say_unread_images
from tasks.images.squares import decoded
from tasks.notices import notice

POOL, TEST = "train", "test"
"""The splits, as folders and tables name them."""


class LabeledFiles(NamedTuple):
    """Image files, and the class and the split of each."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...] | None
    """`POOL` or `TEST`; None if the data has no split."""


def class_folders(root: Path) -> LabeledFiles:
    """The images below `root/train/CLASS` and `root/test/CLASS`, or, where these two are missing, below `root/CLASS`.

    Files with other endings than those of images, and what starts with a dot, are ignored.

    Raises:
        DataError: there is no folder of a class, one of the two splits is missing, or a class has no image.
    """
    require_path(root, "the folder of class folders")
    splits_there = {path.name.lower(): path for path in _folders(root)}
    if not splits_there.keys() & {POOL, TEST}:
        return LabeledFiles(*_in_class_folders(root), None)
    missing = {POOL, TEST} - splits_there.keys()
    require(not missing, f"{root} has no folder {', '.join(missing)}", f"give it folders {POOL} and {TEST}, or neither")
    if others := sorted(splits_there.keys() - {POOL, TEST}):
        notice(f"{root}: {', '.join(others)} beside {POOL} and {TEST}: not read")
    (files, labels), (test_files, test_labels) = (_in_class_folders(splits_there[name]) for name in (POOL, TEST))
    splits = (POOL,) * len(files) + (TEST,) * len(test_files)
    return LabeledFiles(files + test_files, labels + test_labels, splits)


def class_table(file: Path) -> LabeledFiles:
    """The images of a CSV or Parquet file with the columns `path`, `label` and, if the data is split, `split`.

    Paths count from the table's folder.

    Raises:
        DataError: the table cannot be read, lacks a column, or has an empty cell, a path twice or an unknown split.
    """
    table = read_table(file)
    for column in ("path", "label"):
        columns = ", ".join(map(str, table.columns))
        require(
            column in table, f"{file} has no column {column!r} among {columns}", "columns are path, label and split"
        )
    require(len(table), f"{file} has no rows")
    used = [column for column in ("path", "label", "split") if column in table]
    for column in used:
        for row in np.flatnonzero(table[column].isna() | (table[column].astype(str).str.strip() == "")):
            msg = f"{file}: the {column} of row {row + 1} is empty"
            raise DataError(msg)
    path, count = Counter(table["path"]).most_common(1)[0]
    require(count == 1, f"{file} has the path {path} {count} times", "an image has one class; keep one row")
    splits = tuple(table["split"].astype(str).str.strip()) if "split" in table else None
    for unknown in sorted(set(splits or ()) - {POOL, TEST}):
        fault = f"{file} has the split {unknown!r}"
        raise DataError(fault, f"splits are {POOL} and {TEST}")
    return LabeledFiles(
        tuple(file.parent / str(path) for path in table["path"]), tuple(table["label"].astype(str)), splits
    )


def load_files(found: LabeledFiles, side: int, share: float, cache: Path) -> ClassifiedImages:
    """Decode all images to squares.

    Args:
        found: the files.
        side: of the squares, in pixels.
        share: of each class that is kept for testing where the data has no split.
        cache: where the squares are kept if they are many; see `tasks.images.squares.decoded`.

    Raises:
        DataError: files are missing or cannot be decoded (names them), class names differ in case or white space alone,
            there is one class, or a class is in one split alone.
    """
    _check_names(found.labels)
    sorted_names, labels = np.unique(found.labels, return_inverse=True)
    names = tuple(sorted_names.tolist())
    test = held_out(labels, share) if found.splits is None else np.array(found.splits) == TEST
    if found.splits is not None:
        files = np.array(found.files, dtype=object)
        require_apart(files[~test], files[test])
    check_classes(labels, names, test)
    order, pool_size = split_order(test)
    pixels = decoded([found.files[place] for place in order], side, cache)
    return ClassifiedImages.ordered(pixels, labels[order], names, pool_size)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _in_class_folders(root: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    folders = _folders(root)
    require(folders, f"{root} has no folder of a class", "make one folder for each class and put its images there")
    files: list[Path] = []
    labels: list[str] = []
    unread: list[str] = []
    for folder in folders:
        below = files_below(folder)
        unread += [path.name for path in below if not is_image(path)]
        inside = [path for path in below if is_image(path)]
        require(inside, f"{folder} has no image", f"put files there ({', '.join(SUFFIXES)}), or remove the folder")
        files += inside
        labels += [folder.name] * len(inside)
    say_unread_images(root, unread)
    return tuple(files), tuple(labels)


def read_table(file: Path) -> pd.DataFrame:
    """The cells of a CSV file, as texts, or of a Parquet file; a DataError if it cannot be read."""
    require_file(file, "the table of images")
    try:
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", pd.errors.ParserWarning
            )  # cells beyond the header's, such as after a last comma
            return pd.read_csv(file, dtype=str, keep_default_na=False, skipinitialspace=True, index_col=False)
    except ImportError:
        fault = f"{file} is a Parquet file, and pyarrow is not installed"
        raise DataError(fault, "uv sync --extra parquet, or write a CSV file") from None
    except (ValueError, OSError) as error:  # pandas' and pyarrow's faults are ValueErrors
        fault = f"{file} cannot be read ({str(error).strip().splitlines()[0]})"
        raise DataError(fault, "write it as CSV in UTF-8, or as Parquet") from None


def _check_names(labels: Sequence[str]) -> None:
    alike: dict[str, set[str]] = {}
    for label in set(labels):
        alike.setdefault(" ".join(label.casefold().split()), set()).add(label)
    for names in alike.values():
        both = " and ".join(repr(name) for name in sorted(names))
        require(len(names) == 1, f"the classes {both} differ in case or white space alone", "give both one name")
        (name,) = names
        require(name == name.strip(), f"the class {name!r} starts or ends with white space", "remove it")
