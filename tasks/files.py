"""Loading of Python files from outside the repository. A file is read once and its code is run once per process."""

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
    """The content of a Python file when it was read. It can be sent to other processes, which then run the same code."""

    path: Path
    code: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.code).hexdigest()

    @property
    def module_name(self) -> str:
        """The name of the module made from this content. Different content gets a different name."""
        return f"outside_{self.path.stem}_{self.digest[:16]}"


def read_source(path: Path) -> Source:
    """Read a file now."""
    return Source(path, path.read_bytes())


def module_of(source: Source) -> ModuleType:
    """The module made from this content. Later calls in the same process return the same module."""
    if source.module_name in sys.modules:
        return sys.modules[source.module_name]
    module = ModuleType(source.module_name)
    module.__file__ = str(source.path)
    sys.modules[source.module_name] = module  # pydantic and pickle look up names in annotations there
    try:
        exec(compile(source.code, source.path, "exec"), module.__dict__)  # noqa: S102 - the user named this file to be run
    except BaseException:
        del sys.modules[source.module_name]
        raise
    return module


def classes_in(source: Source, base: type[T]) -> list[type[T]]:
    """The concrete subclasses of `base` that the file itself defines; imported ones do not count."""
    module = module_of(source)
    return [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base) and member.__module__ == module.__name__ and not inspect.isabstract(member)
    ]
