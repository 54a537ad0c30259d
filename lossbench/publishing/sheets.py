"""Contact sheets for the leaderboard: the first and last picks of a run on rendered scenes, with their labels.

There are none of photographs: scenes are rendered again from the record's settings, and there is no license to show
photographs of the real data sets.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jaxtyping import UInt8
from pydantic import JsonValue, ValidationError
from torch import Tensor

from leaderboard.schema.records import Record
from leaderboard.scoring.board import Sheet
from tasks.images.drawing import grid, picture_of
from tasks.kind import TaskKind
from tasks.kinds import known_kinds
from tasks.settings import SceneSettings

COLUMNS = 6
"""Images per row."""
QUALITY = 80
"""Of the JPEG: a sheet of 16 images takes about 60 kB."""
MOST_CELLS = 2000
"""Drawn images that are kept, of 48 kB each."""


def sheet(record: Record) -> Sheet | None:
    """The first and the last picks of a run's first selection.

    Returns:
        A JPEG file with two rows and a text that describes it; None if the images are not rendered scenes or the record's
        settings are invalid.
    """
    if not record.rounds or not record.rounds[0].picked:
        return None
    picked = record.rounds[0].picked
    text = (
        f"Images that {record.strategy} picked after the first round under seed {record.seed}, with their labels: the "
        f"first {COLUMNS} picks in the upper row, the last {COLUMNS} of {len(picked)} in the lower row."
    )
    return _drawn(record, [*picked[:COLUMNS], *picked[-COLUMNS:]], min(COLUMNS, len(picked)), text)


def examples(record: Record) -> Sheet | None:
    """The first images of the pool of a run; None where `sheet` gives none."""
    return _drawn(record, [*range(COLUMNS)], COLUMNS, f"The first {COLUMNS} images of the pool, with their labels.")


def _drawn(record: Record, ids: Sequence[int], columns: int, text: str) -> Sheet | None:
    """Images of a run's pool as one picture; None if they may not be shown or are not there."""
    scenes = _scenes(record.config)
    if scenes is None or max(ids) >= scenes[1].pool:
        return None
    kind, settings = scenes
    cells = [cell for cell in (_cell(kind, settings.seed, image) for image in ids) if cell is not None]
    if not cells:
        return None
    file = io.BytesIO()
    picture_of(grid(cells, columns)).save(file, "jpeg", quality=QUALITY, subsampling=0)
    return Sheet(file.getvalue(), text)


@lru_cache(maxsize=MOST_CELLS)
def _cell(kind: TaskKind[Any], seed: int, image: int) -> UInt8[Tensor, "3 c c"] | None:
    """A scene with its labels. Strategies pick many of the same images."""
    return kind.draw_scene(seed, image)


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
