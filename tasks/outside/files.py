"""Loading of Python files from outside the repository, with the modules beside them that they import.

A file is read once and its code is run once per process. Modules beside it are found by the `import` statements in its text, so
that all code is known, and has its hash, before any of it runs. What is installed comes before a module of the same name beside
the file.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple, TypeVar

from tasks.outside.errors import PREFIX, blaming_file

T = TypeVar("T")


class Sibling(NamedTuple):
    """A module beside a file that imports it."""

    name: str
    path: Path
    code: bytes


@dataclass(frozen=True)
class Source:
    """The content of a Python file when it was read. It can be sent to other processes, which then run the same code."""

    path: Path
    code: bytes
    siblings: tuple[Sibling, ...] = ()
    """The modules beside it that it imports, directly or through each other, sorted by name."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content; with siblings, of the SHA-256 of the content and the name and SHA-256 of each."""
        own = hashlib.sha256(self.code).hexdigest()
        if not self.siblings:
            return own
        parts = [own, *(f"{each.name} {hashlib.sha256(each.code).hexdigest()}" for each in self.siblings)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def module_name(self) -> str:
        """The name of the module made from this content. Different content gets a different name."""
        return f"{PREFIX}{self.path.stem}_{self.digest[:16]}"


def read_source(path: Path) -> Source:
    """Read a file and the modules beside it that it imports, now."""
    code = path.read_bytes()
    siblings: dict[str, Sibling] = {}
    waiting = [code]
    while waiting:
        for name in _imported(waiting.pop(), path.parent):
            if name not in siblings:
                file = path.parent / f"{name}.py"
                siblings[name] = Sibling(name, file, file.read_bytes())
                waiting.append(siblings[name].code)
    return Source(path, code, tuple(siblings[name] for name in sorted(siblings)))


def module_of(source: Source) -> ModuleType:
    """The module made from this content. Later calls in the same process return the same module.

    Raises:
        OutsideError: its code cannot be compiled or raises an error; the message names file and line.
    """
    name = source.module_name
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(source.path)
    module.__package__, module.__path__ = name, []  # siblings are its submodules
    sys.modules[name] = module  # pydantic and pickle look up names in annotations there
    _SIBLINGS.sources[name] = source
    if _SIBLINGS not in sys.meta_path:
        sys.meta_path.append(_SIBLINGS)
    try:
        with blaming_file(source.path, name):
            exec(_compiled(source.code, source.path, source), module.__dict__)  # noqa: S102 - the user named this file to be run
    except BaseException:
        del sys.modules[name]
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


def _imported(code: bytes, folder: Path) -> Iterator[str]:
    """Names of the modules in a folder that a file imports; none if it has a fault of syntax, which loading it reports."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names, relative = [alias.name for alias in node.names], False
        elif isinstance(node, ast.ImportFrom) and node.level <= 1:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            relative = node.level == 1
        else:
            continue
        for name in names:
            if (folder / f"{name}.py").is_file() and (relative or not _is_installed(name, folder)):
                yield name


def _is_installed(name: str, folder: Path) -> bool:
    """Whether a module is found without the folder."""
    own = folder.resolve()
    elsewhere = [place for place in sys.path if Path(place or ".").resolve() != own]
    return name in sys.stdlib_module_names or PathFinder.find_spec(name, elsewhere) is not None


class _RelativeImports(ast.NodeTransformer):
    """Turns imports of siblings into relative ones, under whose names they are loaded."""

    def __init__(self, siblings: Sequence[Sibling]) -> None:
        self._names = {each.name for each in siblings}

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        """`import a` becomes `from . import a`."""
        own = [alias for alias in node.names if alias.name in self._names]
        others = [alias for alias in node.names if alias.name not in self._names]
        statements: list[ast.stmt] = [ast.Import(others)] if others else []
        if own:
            statements.append(ast.ImportFrom(None, own, 1))
        return [ast.copy_location(each, node) for each in statements]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        """`from a import b` becomes `from .a import b`."""
        if node.level == 0 and node.module in self._names:
            node.level = 1
        return node


def _compiled(code: bytes, path: Path, source: Source) -> CodeType:
    if not source.siblings:
        return compile(code, path, "exec")
    return compile(_RelativeImports(source.siblings).visit(ast.parse(code, str(path))), path, "exec")


class _SiblingFinder(MetaPathFinder):
    """Finds the siblings of loaded files, as their submodules."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        """By the name of the module."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """How to load a sibling; None if it is none."""
        parent, _, name = fullname.rpartition(".")
        source = self.sources.get(parent)
        for sibling in source.siblings if source else ():
            if source and sibling.name == name:
                return spec_from_loader(fullname, _SiblingLoader(source, sibling), origin=str(sibling.path))
        return None


@dataclass(frozen=True)
class _SiblingLoader(Loader):
    """Runs what was read of a sibling."""

    source: Source
    sibling: Sibling

    def exec_module(self, module: ModuleType) -> None:
        """Run it."""
        module.__file__ = str(self.sibling.path)
        exec(_compiled(self.sibling.code, self.sibling.path, self.source), module.__dict__)  # noqa: S102 - as the file that imports it


_SIBLINGS = _SiblingFinder()
