"""Writes tables as TOML, with values that TOML allows and Lossbench should not."""

from __future__ import annotations

import copy
import json
from typing import Any

ABSENT = object()
"""Stands for a field that is left out."""


class Raw(str):
    """TOML, as it is to be written."""

    __slots__ = ()


def literal(value: object) -> str:
    """A value as TOML; tables are inline."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {literal(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def document(table: dict[str, Any]) -> str:
    """A table as a TOML document."""
    return "".join(f"{json.dumps(name)} = {literal(value)}\n" for name, value in table.items())


def changed(table: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The table with one field replaced, added or left out; `path` has dots."""
    result = copy.deepcopy(table)
    *parents, last = path.split(".")
    inner = result
    for name in parents:
        inner = inner.setdefault(name, {})
    if value is ABSENT:
        del inner[last]
    else:
        inner[last] = value
    return result
