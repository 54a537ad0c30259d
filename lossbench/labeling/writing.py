"""The folder of a labeling round: picks, files for annotation tools, and a page to look at."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from leaderboard.schema.records import write_whole
from lossbench.config import ConfigError, Protocol
from lossbench.labeling.drawing import picture
from lossbench.labeling.outcome import Outcome, Pick
from lossbench.labeling.page import page, picture_name
from lossbench.labeling.plan import SETTINGS_FILE, protocol_text, settings_text
from tasks.datasets.tools import coco, cvat, yolo
from tasks.datasets.tools.annotated import AnnotatedImage, Shape
from tasks.datasets.tools.label_studio import imports as label_studio
from tasks.images.files import encoded
from tasks.notices import notice

INDEX = "index.html"
PICKS = "picks.csv"
IMAGES = "images"
"""Folder of the picks that come from shards or from elsewhere, for annotation tools."""
CONTROLS: dict[Shape, tuple[label_studio.Control, ...]] = {
    "choices": ("choices",),
    "boxes": ("boxes",),
    "points": ("points",),
    "regions": ("strokes", "outlines"),
}
"""What can be marked in Label Studio for labels of a shape."""
COLUMNS = (
    "path", "rank", "score", "predicted_loss", "margin", "nearest_labeled", "similarity", "predicted", "near_duplicates",
)  # fmt: skip


class Addresses(NamedTuple):
    """Where an annotation tool finds the images."""

    prefix: str = ""
    """Folders between the tool's folder of files and the images' folder, ending in a slash."""
    begin: str = label_studio.LOCAL_FILES
    """What the address of an image begins with."""


def check_free(folder: Path, cache: Path | None = None) -> None:
    """Raise a ConfigError if the folder of a round that is to be made holds something, or will hold the cache, or cannot be made."""
    if folder.resolve() == Path.cwd():
        msg = f"{folder} is the working folder, which a round cannot replace; give a new folder with --out"
        raise ConfigError(msg)
    if cache is not None and cache.resolve().is_relative_to(folder.resolve()):
        msg = f"the cache {cache} would lie in the round's folder {folder}; give another folder with --out"
        raise ConfigError(msg)
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} exists already; give another folder with --out, so that no round is lost"
        raise ConfigError(msg)
    above = next(each for each in folder.absolute().parents if each.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        msg = f"{folder} cannot be made in {above}; give another folder with --out"
        raise ConfigError(msg)


def check_outside(folder: Path, images: Path) -> None:
    """Raise a ConfigError if the folder of a round would lie among the images: its pictures would be images of the next round."""
    if images.is_dir() and folder.resolve().is_relative_to(images.resolve()):
        msg = f"{folder} would lie in {images}, and its pictures would count as images there; give a folder elsewhere with --out"
        raise ConfigError(msg)


def write_protocol(protocol: Protocol, folder: Path) -> None:
    """Write the protocol of a simulation into its folder.

    Raises:
        ConfigError: another protocol of this name lies there.
    """
    path, text = folder / f"{protocol.name}.toml", protocol_text(protocol)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        msg = f"{path} holds a simulation with other settings; give another folder with --out"
        raise ConfigError(msg)
    write_whole(path, text)


def write_round(outcome: Outcome, shape: Shape, folder: Path, addresses: Addresses) -> None:
    """Write all files of a round into a folder that does not exist or is empty, or nothing at all."""
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        temporary.mkdir()
        for name, content in _texts(outcome):
            (temporary / name).write_text(content, encoding="utf-8")
        _write_for_tools(outcome, shape, temporary, addresses)
        _write_images(outcome, temporary)
        if folder.is_dir():
            folder.rmdir()
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_images(outcome: Outcome, folder: Path) -> None:
    """Write a small picture of each pick for the page, and the picks themselves where they lie in no files of their own."""
    (folder / "pictures").mkdir()
    for pick in outcome.picks:
        content = picture(pick.path, pick.prediction, outcome.class_names)
        (folder / picture_name(pick)).write_bytes(content)
        if not isinstance(pick.path, Path):
            copy = folder / IMAGES / pick.file
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(encoded(pick.path))


def _texts(outcome: Outcome) -> Iterator[tuple[str, str]]:
    yield SETTINGS_FILE, settings_text(outcome.settings)
    yield PICKS, picks_table(outcome.picks)
    yield INDEX, page(outcome)


def picks_table(picks: Sequence[Pick]) -> str:
    """The picks as CSV: path from the folder of images, rank, score, and why."""
    content = io.StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(COLUMNS)
    for pick in picks:
        numbers = [_number(value) for value in (pick.score, pick.predicted_loss, pick.margin)]
        row = [pick.file, pick.rank, *numbers, pick.nearest_labeled, _number(pick.similarity)]
        table.writerow([*row, "; ".join(predicted(pick.prediction)), "; ".join(pick.shown_left_out)])
    return content.getvalue()


def predicted(labels: AnnotatedImage) -> list[str]:
    """The classes in a prediction, each once."""
    shown = [each.label for each in (*labels.boxes, *labels.regions)]
    return list(dict.fromkeys([*labels.choices, *shown]))


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _write_for_tools(outcome: Outcome, shape: Shape, folder: Path, addresses: Addresses) -> None:
    images = [pick.prediction for pick in outcome.picks]
    count = len(images)
    label_studio.write_tasks(
        folder / "label_studio.json",
        images,
        [1 - pick.rank / (count + 1) for pick in outcome.picks],  # a strategy's own score may have any range
        model_version=f"lossbench {outcome.settings.strategy}",
        prefix=addresses.prefix,
        address=addresses.begin,
        data=[{"rank": pick.rank, "predicted": ", ".join(predicted(pick.prediction))} for pick in outcome.picks],
    )
    label_studio.write_labeling_config(folder / "label_studio.xml", outcome.class_names, CONTROLS[shape])
    cvat.write_cvat(folder / "cvat.xml", images, outcome.class_names)
    if shape != "choices":
        coco.write_coco_annotations(folder / "coco.json", images, outcome.class_names)
    if shape == "boxes" and len({image.file.rpartition(".")[0] for image in images}) < count:
        notice("no YOLO set is written: two picks differ in their suffix alone, and its text files would have one name")
    elif shape == "boxes":
        yolo.write_yolo_annotations(folder / "yolo", images, outcome.class_names)
