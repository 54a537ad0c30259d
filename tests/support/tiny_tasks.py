"""Small changes of the tiny tasks."""

from __future__ import annotations

from typing import TypeVar

from tasks import kinds
from tasks.settings import TaskSettings

KINDS = tuple(kind.name for kind in kinds.KINDS)

S = TypeVar("S", bound=TaskSettings)


def with_recipe(settings: S, changes: dict[str, object]) -> S:
    """The same settings under another recipe."""
    return settings.model_copy(update={"recipe": settings.recipe.model_copy(update=changes)})
