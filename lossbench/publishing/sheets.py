"""Contact sheets for the leaderboard: the first and last picks of a run on rendered scenes, with their labels.

There are none of photographs: scenes are rendered again from the record's settings, and there is no license to show
photographs of the real data sets.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from pydantic import JsonValue, ValidationError
from torchvision.transforms.v2.functional import to_pil_image

from leaderboard.schema.records import Record
from leaderboard.scoring.board import Sheet
from tasks.images.drawing import grid
from tasks.kind import TaskKind
from tasks.kinds import known_kinds
from tasks.settings import SceneSettings

COLUMNS = 8
"""Images per row."""


def sheet(record: Record) -> Sheet | None:
    """The first and the last picks of a run's first selection.

    Returns:
        A PNG file with two rows and a text that describes it; None if the images are not rendered scenes or the record's
        settings are invalid.
    """
    scenes = _scenes(record.config)
    if scenes is None or not record.rounds or not record.rounds[0].picked:
        return None
    kind, settings = scenes
    picked = record.rounds[0].picked
    ids = [*picked[:COLUMNS], *picked[-COLUMNS:]]
    if max(ids) >= settings.pool:
        return None
    cells = [cell for cell in (kind.draw_scene(settings.seed, image) for image in ids) if cell is not None]
    if not cells:
        return None
    file = io.BytesIO()
    to_pil_image(grid(cells, min(COLUMNS, len(picked)))).quantize(255, dither=Image.Dither.NONE).save(
        file, "png", optimize=True
    )
    text = (
        f"Images that {record.strategy} picked after the first round under seed {record.seed}, with their labels: the "
        f"first {COLUMNS} picks in the upper row, the last {COLUMNS} of {len(picked)} in the lower row."
    )
    return Sheet(file.getvalue(), text)


def _scenes(config: Mapping[str, JsonValue]) -> tuple[TaskKind[Any], SceneSettings] | None:
    """The kind of task and the scenes' settings of a record's protocol; None if it has no valid ones."""
    task = config.get("task")
    data = task.get("data") if isinstance(task, dict) else None
    scenes = data.get("scenes") if isinstance(data, dict) else None
    kind = next((kind for kind in known_kinds() if isinstance(task, dict) and kind.name == task.get("kind")), None)
    if not scenes or kind is None:
        return None
    try:
        return kind, SceneSettings.model_validate(scenes)
    except ValidationError:
        return None
