"""Models from Python files outside the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import LossbenchError
from tasks.outside.errors import blaming_file
from tasks.outside.files import Source, classes_in, read_source

if TYPE_CHECKING:  # the command line knows this module and needs no torch
    from tasks.models.tapped import OwnModel

NAME = r"[a-z0-9][a-z0-9-]*"
_loaded: dict[str, tuple[Source, OwnModel]] = {}
"""The models loaded in this process, by name."""


class ModelError(LossbenchError):
    """An unknown model, or a file from which none can be loaded."""


def load_model_file(path: Path) -> OwnModel:
    """Load a model from a Python file and make it known in this process.

    Raises:
        ModelError: the file does not exist or does not define exactly one model, or the model's name is invalid or taken.
    """
    if not path.is_file():
        msg = f"{path}: {'a folder' if path.is_dir() else 'no such file'}; --model-file takes a Python file that defines a model"
        raise ModelError(msg)
    return load_model(read_source(path))


def load_model(source: Source) -> OwnModel:
    """Load a model from the content of a file; see `load_model_file`. Loading the same content again is allowed."""
    from tasks.models.tapped import OwnModel  # noqa: PLC0415 - imports torch

    classes = classes_in(source, OwnModel)
    if len(classes) != 1:
        msg = f"{source.path} defines {len(classes)} models; define one subclass of tasks.models.tapped.OwnModel, with `name` and `build`"
        raise ModelError(msg)
    with blaming_file(source.path, source.module_name):
        model: Any = classes[0]()  # pyright: ignore[reportAbstractUsage] - `classes_in` gives concrete classes
    name = getattr(model, "name", None)
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        msg = f"{source.path}: {classes[0].__name__}.name is {name!r}; give it lower-case letters, digits and hyphens"
        raise ModelError(msg)
    if _loaded.get(name, (source,))[0] != source:
        msg = f"{source.path}: the name {name!r} is taken by another model; choose another name"
        raise ModelError(msg)
    _loaded[name] = (source, model)
    return model


def own_model(name: str) -> tuple[OwnModel, str]:
    """A loaded model, and the SHA-256 of its file.

    Raises:
        ModelError: no model of this name was loaded.
    """
    if name not in _loaded:
        there = f"; loaded are {', '.join(_loaded)}" if _loaded else ""
        msg = f"no model {name!r}; load its file with --model-file FILE{there}"
        raise ModelError(msg)
    source, model = _loaded[name]
    return model, source.digest


def loaded_model_sources() -> tuple[Source, ...]:
    """The contents of the files from which models were loaded. A worker process loads them with `load_model`."""
    return tuple(source for source, _ in _loaded.values())
