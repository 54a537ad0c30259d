"""Pose tasks of rendered figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # this file is read by the process that only hands out tests, too
    from tasks.pose.task import PoseTask


@pytest.fixture(scope="module")
def scenes(cache: Path) -> Callable[..., PoseTask]:
    """Rendered figures under any settings."""
    from mpii_files import CPU, MODEL, RECIPE

    from tasks.kinds import build_task
    from tasks.pose.settings import PoseSettings

    def of(**changed: Any) -> PoseTask:
        data = {"scenes": {"seed": 3, "pool": 60, "test": 24}, "validation": 0}
        given = {"kind": "pose", "data": data, "model": MODEL, "recipe": RECIPE} | changed
        return build_task(PoseSettings.model_validate(given), cache, cache, CPU)

    return of


@pytest.fixture(scope="module")
def task(scenes: Callable[..., PoseTask]) -> PoseTask:
    return scenes()
