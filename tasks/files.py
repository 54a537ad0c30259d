"""Python files from outside the repository: read once, run once."""

from __future__ import annotations

import hashlib
import inspect
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """The content of a Python file at one moment. It travels to other processes, which run the same code."""

    path: Path
    code: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.code).hexdigest()

    @property
    def module_name(self) -> str:
        """Name of the module that the content becomes: other content, other name."""
        return f"outside_{self.path.stem}_{self.digest[:16]}"


def read_source(path: Path) -> Source:
    """The content of a file now."""
    return Source(path, path.read_bytes())


def module_of(source: Source) -> ModuleType:
    """The module of this content. It is run once in a process, however often it is asked for."""
    if source.module_name in sys.modules:
        return sys.modules[source.module_name]
    module = ModuleType(source.module_name)
    module.__file__ = str(source.path)
    sys.modules[source.module_name] = module  # pydantic and pickle look up names in annotations there
    try:
        exec(compile(source.code, source.path, "exec"), module.__dict__)  # noqa: S102 - the file was named to be run
    except BaseException:
        del sys.modules[source.module_name]
        raise
    return module


def classes_in(source: Source, base: type[T]) -> list[type[T]]:
    """The concrete subclasses of `base` that the content itself defines."""
    module = module_of(source)
    return [
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, base) and found.__module__ == module.__name__ and not inspect.isabstract(found)
    ]
