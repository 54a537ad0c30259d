"""Contact sheets: what a run on the rendered scenes picked first and last, with labels drawn in.

Only of scenes: they are rendered anew from the record's own settings, and they are ours to show. Photographs are not.
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


def sheet(record: Record) -> Sheet | None:
    """The first and the last picks of a run's first selection; None where its images are not rendered scenes."""
    found = _scenes(record.config)
    if found is None or not record.rounds or not record.rounds[0].picked:
        return None
    kind, settings = found
    picked = record.rounds[0].picked
    ids = [*picked[:COLUMNS], *picked[-COLUMNS:]]
    if max(ids) >= settings.pool:
        return None
    drawn = [kind.draw_scene(settings.seed, image) for image in ids]
    cells = [cell for cell in drawn if cell is not None]
    if not cells:
        return None
    file = io.BytesIO()
    to_pil_image(grid(cells, min(COLUMNS, len(picked)))).quantize(255, dither=Image.Dither.NONE).save(
        file, "png", optimize=True
    )
    text = (
        f"What {record.strategy} picked after the first round under seed {record.seed}: its first {COLUMNS} picks in the "
        f"upper row, its last {COLUMNS} of {len(picked)} in the lower; labels drawn in."
    )
    return Sheet(file.getvalue(), text)


def _scenes(config: Mapping[str, JsonValue]) -> tuple[TaskKind[Any], SceneSettings] | None:
    """The kind of task and its scenes, where a record's protocol names some."""
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
