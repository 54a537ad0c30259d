"""Small changes of the tiny tasks."""

from __future__ import annotations

from typing import TypeVar

import pytest

from tasks import kinds
from tasks.settings import TaskSettings

KINDS = tuple(kind.name for kind in kinds.KINDS)
FAST_ON_ONE_KIND = pytest.mark.parametrize(
    "kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])], indirect=True
)
"""Marks a heavy test of what depends little on the kind: on all kinds but the first it is a slow test."""

S = TypeVar("S", bound=TaskSettings)


def with_recipe(settings: S, changes: dict[str, object]) -> S:
    """The same settings under another recipe."""
    return settings.model_copy(update={"recipe": settings.recipe.model_copy(update=changes)})
