"""Hyper-parameters of strategies for pages: name, default and meaning, as the strategies' files have them."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from strategies import Strategy


class Parameter(NamedTuple):
    """A hyper-parameter."""

    name: str
    default: str
    meaning: str
    """The docstring below it; empty if it has none."""


def parameters(strategy: type[Strategy]) -> tuple[Parameter, ...]:
    """The hyper-parameters of a strategy, in the order of its class."""
    classes = [each for each in strategy.__mro__ if issubclass(each, Strategy) and each is not Strategy]
    meanings = {}
    for each in reversed(classes):
        meanings |= _docstrings(Path(inspect.getfile(each))).get(each.__qualname__, {})
    return tuple(
        Parameter(name, str(field.default), meanings.get(name, "")) for name, field in strategy.model_fields.items()
    )


@cache
def _docstrings(path: Path) -> dict[str, dict[str, str]]:
    """The docstrings of the fields of every class in a file, by class and field."""
    found: dict[str, dict[str, str]] = {}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ClassDef):
            found[statement.name] = {
                field.target.id: inspect.cleandoc(below.value.value).replace("\n", " ")
                for field, below in pairwise(statement.body)
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                if isinstance(below.value.value, str)
            }
    return found
