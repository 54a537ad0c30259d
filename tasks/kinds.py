"""The kinds of task: those of Lossbench, and those that were loaded from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import LossbenchError
from tasks.classification.kind import Classification
from tasks.detection.kind import Detection
from tasks.files import Source, classes_in, read_source
from tasks.kind import TaskKind
from tasks.pose.kind import Pose
from tasks.settings import TaskSettings

if TYPE_CHECKING:
    import torch

    from tasks.base import Task

KINDS: tuple[TaskKind[Any], ...] = (Classification(), Detection(), Pose())
"""Those of Lossbench. A new kind is a folder in `tasks/` and an entry here."""
_outside: dict[str, tuple[Source, TaskKind[Any]]] = {}


class KindError(LossbenchError):
    """A kind of task that is not there, or a file that does not hold one."""


def known_kinds() -> tuple[TaskKind[Any], ...]:
    """Lossbench's kinds, then those loaded from files."""
    return (*KINDS, *(kind for _, kind in _outside.values()))


def kind_named(name: object) -> TaskKind[Any]:
    """The kind of this name.

    Raises:
        KindError: there is none.
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
        KindError: no such file, not exactly one kind in it, or a name that is taken.
    """
    if not path.is_file():
        msg = f"no file {path} to load a kind of task from"
        raise KindError(msg)
    return load_kind(read_source(path))


def load_kind(source: Source) -> TaskKind[Any]:
    """Make a kind known from the content of its file; see `load_kind_file`."""
    found = classes_in(source, TaskKind)
    if len(found) != 1:
        msg = (
            f"{source.path} defines {len(found)} kinds of task; define one class that derives from tasks.kind.TaskKind"
        )
        raise KindError(msg)
    kind = found[0]()  # pyright: ignore[reportAbstractUsage] - `classes_in` gives concrete classes
    if kind.name in {own.name for own in KINDS} or _outside.get(kind.name, (source,))[0] != source:
        msg = f"{source.path}: a kind of task named {kind.name!r} exists; choose another name"
        raise KindError(msg)
    _outside[kind.name] = (source, kind)
    return kind


def loaded_sources() -> tuple[Source, ...]:
    """The content of all files that kinds were loaded from: other processes make them known with `load_kind`."""
    return tuple(source for source, _ in _outside.values())


def task_settings(table: object) -> TaskSettings:
    """A protocol's `task` table in the form of its kind.

    Raises:
        KindError: it names no kind that is known.
        ValidationError: a field does not fit.
    """
    if isinstance(table, TaskSettings):
        return table
    name = table.get("kind") if isinstance(table, dict) else None
    return kind_named(name).settings.model_validate(table)


def build_task(settings: TaskSettings, data: Path, cache: Path, device: torch.device) -> Task[Any, Any]:
    """The task of these settings; see `TaskKind.build`.

    Raises:
        DataError: what the task needs is missing or damaged.
    """
    return kind_named(settings.kind).build(settings, data, cache, device)
