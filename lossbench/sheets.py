"""Contact sheets: what a run on the rendered scenes picked first and last, with labels drawn in.

Only of scenes: they are rendered anew from the record's own settings, and they are ours to show. Photographs are not.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import JsonValue, ValidationError
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from leaderboard.board import Sheet
from leaderboard.records import Record
from lossbench.drawing import boxed, cell, classed, grid, jointed
from tasks.scenes import CLASSES, SceneSettings, render_detection_scene, render_figure_scene, render_object_scene

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
    cells = [DRAWN[kind](settings.seed, image) for image in ids]
    file = io.BytesIO()
    to_pil_image(grid(cells, min(COLUMNS, len(picked)))).quantize(255, dither=Image.Dither.NONE).save(
        file, "png", optimize=True
    )
    text = (
        f"What {record.strategy} picked after the first round under seed {record.seed}: its first {COLUMNS} picks in the "
        f"upper row, its last {COLUMNS} of {len(picked)} in the lower; labels drawn in."
    )
    return Sheet(file.getvalue(), text)


def _scenes(config: Mapping[str, JsonValue]) -> tuple[str, SceneSettings] | None:
    """The kind of task and its scenes, where a record's protocol names some."""
    task = config.get("task")
    data = task.get("data") if isinstance(task, dict) else None
    scenes = data.get("scenes") if isinstance(data, dict) else None
    kind = task.get("kind") if isinstance(task, dict) else None
    if not scenes or kind not in DRAWN:
        return None
    try:
        return str(kind), SceneSettings.model_validate(scenes)
    except ValidationError:
        return None


def _pixels(image: UInt8[np.ndarray, "s s 3"]) -> UInt8[Tensor, "3 c c"]:
    return cell(torch.from_numpy(image.copy()).permute(2, 0, 1))


def _object(seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
    scene = render_object_scene(seed, "pool", index)
    return classed(_pixels(scene.image), scene.label, CLASSES)


def _objects(seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
    scene = render_detection_scene(seed, "pool", index)
    boxes = torch.tensor([each.box for each in scene.objects]) / len(scene.image)
    return boxed(_pixels(scene.image), boxes, [each.label for each in scene.objects], CLASSES)


def _figure(seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
    scene = render_figure_scene(seed, "pool", index)
    return jointed(_pixels(scene.image), (np.asarray(scene.joints) + 0.5) / len(scene.image), np.asarray(scene.visible))


DRAWN: dict[str, Callable[[int, int], UInt8[Tensor, "3 c c"]]] = {
    "classification": _object,
    "detection": _objects,
    "pose": _figure,
}
"""How a scene of each kind is drawn with its labels: by the scenes' seed and the image's place in the pool."""
