"""All kinds of task that this process knows: those of Lossbench, and those loaded from files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import LossbenchError
from tasks.classification.kind import Classification
from tasks.detection.kind import Detection
from tasks.kind import TaskKind
from tasks.outside.files import Source, classes_in, read_source
from tasks.pose.kind import Pose
from tasks.segmentation.kind import Segmentation
from tasks.settings import TaskSettings

if TYPE_CHECKING:
    import torch

    from tasks.base import Task

KINDS: tuple[TaskKind[Any], ...] = (Classification(), Detection(), Pose(), Segmentation())
"""The kinds of Lossbench. To add one, write a folder in `tasks/` and add its class here."""
NAME = r"[a-z0-9][a-z0-9-]*"
"""The names that a kind may have."""
_loaded: dict[str, tuple[Source, TaskKind[Any]]] = {}
"""The kinds loaded from files in this process, by name."""


class KindError(LossbenchError):
    """An unknown kind of task, or a file from which no kind can be loaded."""


def known_kinds() -> tuple[TaskKind[Any], ...]:
    """The kinds of Lossbench, then those loaded from files."""
    return (*KINDS, *(kind for _, kind in _loaded.values()))


def kind_named(name: object) -> TaskKind[Any]:
    """The kind of this name.

    Raises:
        KindError: no known kind has this name.
    """
    for kind in known_kinds():
        if kind.name == name:
            return kind
    names = ", ".join(repr(kind.name) for kind in known_kinds())
    msg = f"no kind of task {name!r}; there are {names}, or load another with --kind-file FILE"
    raise KindError(msg)


def load_kind_file(path: Path) -> TaskKind[Any]:
    """Load a kind of task from a Python file and make it known in this process.

    Raises:
        KindError: the file does not exist, does not define exactly one kind, or the kind's name is invalid or taken.
    """
    if not path.is_file():
        msg = f"{path}: no such file; --kind-file takes a Python file that defines a kind of task"
        raise KindError(msg)
    return load_kind(read_source(path))


def load_kind(source: Source) -> TaskKind[Any]:
    """Load a kind of task from the content of a file; see `load_kind_file`. Loading the same content again is allowed."""
    classes = classes_in(source, TaskKind)
    if len(classes) != 1:
        msg = f"{source.path} defines {len(classes)} kinds of task; define one subclass of tasks.kind.TaskKind"
        raise KindError(msg)
    kind = classes[0]()  # pyright: ignore[reportAbstractUsage] - `classes_in` gives concrete classes
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        msg = f"{source.path}: {classes[0].__name__}.name is {name!r}; give it lower-case letters, digits and hyphens"
        raise KindError(msg)
    if name in {own.name for own in KINDS} or _loaded.get(name, (source,))[0] != source:
        msg = f"{source.path}: the name {name!r} is taken by another kind of task; choose another name"
        raise KindError(msg)
    _loaded[name] = (source, kind)
    return kind


def loaded_sources() -> tuple[Source, ...]:
    """The contents of the files from which kinds were loaded. A worker process loads them with `load_kind`."""
    return tuple(source for source, _ in _loaded.values())


def task_settings(table: object) -> TaskSettings:
    """Validate a protocol's `task` table by the settings class of its kind.

    Raises:
        KindError: the table's `kind` is missing or unknown.
        ValidationError: a field is unknown, missing or out of range.
    """
    if isinstance(table, TaskSettings):
        return table
    name = table.get("kind") if isinstance(table, dict) else None
    return kind_named(name).settings.model_validate(table)


def build_task(settings: TaskSettings, data: Path, cache: Path, device: torch.device) -> Task[Any, Any]:
    """Build the task that these settings describe; see `TaskKind.build`.

    If its kind was loaded from a file, the SHA-256 of that file is added to the task's fingerprints, as "kind".

    Raises:
        DataError: a file is missing or damaged.
    """
    task = kind_named(settings.kind).build(settings, data, cache, device)
    if settings.kind in _loaded:
        source, _ = _loaded[settings.kind]
        task.fingerprints = {**task.fingerprints, "kind": source.digest}
    return task
