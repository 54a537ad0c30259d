"""Label Studio's exports: JSON and JSON-MIN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lossbench.files import first_fault, parsed_json, shown
from lossbench.words import plural
from tasks.datasets.tools.annotated import Annotations
from tasks.datasets.tools.checking import checked
from tasks.datasets.tools.label_studio.imports import FILE, IMAGE
from tasks.datasets.tools.label_studio.regions import Result, annotated
from tasks.errors import DataError, read_data, require
from tasks.images.decoding import SUFFIXES
from tasks.notices import notice

FORM = "export it from Label Studio as JSON or JSON-MIN"
UPLOAD_HEX = 8
"""Digits, and a dash, that Label Studio puts before the name of a file that is uploaded."""
ABOUT_ANNOTATION = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")
"""Keys of JSON-MIN that say who annotated, and when."""
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class _Annotation(BaseModel):
    """What one person said of an image."""

    model_config = ConfigDict(frozen=True)

    result: list[Result]
    was_cancelled: bool = False
    ground_truth: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def rank(self) -> tuple[bool, datetime]:
        """Larger of the one that counts."""
        time = self.updated_at or self.created_at or BEFORE_ALL
        return self.ground_truth, time if time.tzinfo else time.replace(tzinfo=UTC)


class _Task(BaseModel):
    """An image, and what was said of it."""

    model_config = ConfigDict(frozen=True)

    data: dict[str, Any]
    annotations: list[_Annotation] = Field(default_factory=list)


def read_label_studio(path: Path) -> Annotations:
    """Read an export of either form.

    Choices, rectangles, polygons, brush strokes and points are read, a turned rectangle as the upright box around it, within the
    image; one line counts what else there is. Images count as skipped that have no annotation, or cancelled ones alone, or nothing
    that is read; an annotation without anything says that the image shows nothing. Of several annotations of an image the one counts that is marked as ground
    truth, or else the one that was changed last. JSON-MIN does not hold cancelled annotations, nor who is ground truth.

    `file` in a task's data names the image; where there is none, the address of the image does, without what Label Studio put
    there. The size of an image is the one that the export says, and None for images with choices alone. Whether it is the size of the
    file is for the caller to check. Points that have one parent, or one note "person N", are of one person.

    Raises:
        DataError: the file is no export, or a region is of no class, malformed, outside of its image, or on a turned image.
    """
    try:
        content = parsed_json(read_data(path, "the export of Label Studio"))
    except ValueError as error:
        fault = error.fault if isinstance(error, DataError) else f"{path} is not JSON ({error})"
        raise DataError(fault, FORM) from None
    require(
        isinstance(content, list) and all(isinstance(each, dict) for each in content),
        f"{path} holds no list of tasks",
        FORM,
    )
    tasks = list(_tasks(content, path))
    names = [_name(task.data, f"{path}, task {number}") for number, task in enumerate(tasks)]
    images, skipped, unread = [], [], Counter[str]()
    for task, name in zip(tasks, names, strict=True):
        finished = [each for each in task.annotations if not each.was_cancelled]
        if not finished:
            skipped.append(name)
            continue
        before, last = unread.total(), max(finished, key=lambda each: each.rank)
        image = annotated(name, last.result, f"{path}, {name}", unread)
        if image.is_empty and unread.total() > before:
            skipped.append(name)
        else:
            images.append(image)
    for kind, count in unread.items():
        notice(f"{path}: {plural(count, 'annotation')} of the type {kind} cannot be read, and are left out")
    return checked(path, images, (), skipped)


def _tasks(content: Sequence[dict[str, Any]], path: Path) -> Iterator[_Task]:
    """Tasks of either form; JSON-MIN has an entry for each annotation."""
    minimal: dict[object, dict[str, Any]] = {}
    for number, entry in enumerate(content):
        where = f"{path}, entry {number}"
        if isinstance(entry.get("data"), dict):
            yield _task(entry | {"annotations": entry.get("annotations") or entry.get("completions") or []}, where)
            continue
        task = minimal.setdefault(str(entry.get("id", f"entry {number}")), {"data": entry, "annotations": []})
        if entry.get("annotation_id", "") is not None:
            times = {key: entry.get(key) for key in ("created_at", "updated_at")}
            task["annotations"].append({"result": list(_minimal_results(entry, where)), **times})
    for task in minimal.values():
        yield _task(task, f"{path}, {_name(task['data'], str(path))}")


def _task(given: dict[str, Any], where: str) -> _Task:
    try:
        return _Task.model_validate(given)
    except ValidationError as error:
        fault = f"{where}: {first_fault(error)}"
        raise DataError(fault, FORM) from None


def _minimal_results(entry: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """What an entry of JSON-MIN says: its data, `id`, a key for each control, and from `annotator` on, who and when."""
    keys = [key for key in entry if key not in ABOUT_ANNOTATION]
    in_order = list(entry)
    if not {"id", "annotator"} - entry.keys():
        first, last = in_order.index("id"), in_order.index("annotator")
        require(first < last, f"{where}: its keys are not in the order of Label Studio", FORM)
        keys = [key for key in in_order[first + 1 : last] if key in keys]
    controls = [key for key in keys if key not in {IMAGE, FILE}]
    texts = [key for key in controls if isinstance(entry[key], str)]
    chosen = ["choices"] if "choices" in texts else texts
    require(len(chosen) <= 1, f"{where} has the texts {', '.join(chosen)}", "export it as JSON, which tells the class")
    for key in chosen:
        yield {"value": {"choices": [entry[key]]}}
    for key in controls:
        values = entry[key] if isinstance(entry[key], list) else [entry[key]]
        for value in values:
            if isinstance(value, dict):
                sizes = {side: value.get(side) for side in ("original_width", "original_height")}
                yield {"type": str(value.get("type", key)), "value": value, **sizes}


def _name(data: Mapping[str, Any], where: str) -> str:
    """The name of the image of a task."""
    if isinstance(data.get(FILE), str) and data[FILE].strip():
        return str(data[FILE])
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    found = {key: name for key, value in texts.items() if (name := named_by(value)).lower().endswith(SUFFIXES)}
    names = {found[IMAGE]} if IMAGE in found else set(found.values())
    require(
        len(names) == 1,
        f"{where}: its data names {plural(len(names), 'image')} among {shown(list(data))}",
        f"give the key {FILE!r} to its image's path",
    )
    return names.pop()


def named_by(address: str) -> str:
    """The path of a file in the address of an image.

    That is the value of `d` for a local file, and the name without eight hexadecimal digits for one that was uploaded to Label
    Studio.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # it looks like an address, but is none
        return address
    path = PurePosixPath(unquote(parts.path).lstrip("/"))
    if path.parts[-2:] == ("data", "local-files"):
        return parse_qs(parts.query).get("d", [""])[0].replace("\\", "/").lstrip("/")
    digits, _, name = path.name.partition("-")
    uploaded = "upload" in path.parts and len(digits) == UPLOAD_HEX and set(digits) <= set("0123456789abcdef")
    return name if uploaded and name else str(path)
