"""Contact sheets: what a run on the rendered scenes picked first and last, with labels drawn in.

Only of scenes: they are rendered anew from the record's own settings, and they are ours to show. Photographs are not.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import JsonValue, ValidationError
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, resize, to_pil_image
from torchvision.utils import draw_bounding_boxes, draw_keypoints, make_grid

from leaderboard.board import Sheet
from leaderboard.records import Record
from tasks.scenes import CLASSES, SceneSettings, render_detection_scene, render_figure_scene, render_object_scene

COLUMNS = 8
CELL_PIXELS = 128
GAP_PIXELS = 4
# Okabe & Ito (2008), as in the charts: one a class or a side of the body.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
RIGHT, LEFT, MIDDLE = (0, 1, 2, 10, 11, 12), (3, 4, 5, 13, 14, 15), (6, 7, 8, 9)
"""MPII's joints."""
LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (13, 14), (14, 15))


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
    cells = torch.stack([DRAWN[kind](settings.seed, image) for image in ids])
    grid = make_grid(cells, nrow=min(COLUMNS, len(picked)), padding=GAP_PIXELS, pad_value=255)
    file = io.BytesIO()
    to_pil_image(grid).quantize(255, dither=Image.Dither.NONE).save(file, "png", optimize=True)
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


def _cell(image: UInt8[np.ndarray, "s s 3"]) -> tuple[UInt8[Tensor, "3 c c"], float]:
    """An image at the size of a cell, and how much larger it became."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
    large = resize(pixels, [CELL_PIXELS, CELL_PIXELS], InterpolationMode.NEAREST)
    return large, CELL_PIXELS / len(image)


def _object(seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
    scene = render_object_scene(seed, "pool", index)
    cell, _ = _cell(scene.image)
    frame = torch.tensor([[0.0, 0.0, CELL_PIXELS - 1, CELL_PIXELS - 1]])
    return _boxed(cell, frame, [scene.label])


def _objects(seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
    scene = render_detection_scene(seed, "pool", index)
    cell, scale = _cell(scene.image)
    if not scene.objects:
        return cell
    boxes = torch.tensor([each.box for each in scene.objects]) * scale
    return _boxed(cell, boxes, [each.label for each in scene.objects])


def _boxed(cell: UInt8[Tensor, "3 c c"], boxes: Float[Tensor, "b 4"], labels: list[int]) -> UInt8[Tensor, "3 c c"]:
    colors: list[str | tuple[int, int, int]] = [COLORS[label % len(COLORS)] for label in labels]
    names = [CLASSES[label] for label in labels]
    return draw_bounding_boxes(cell, boxes, names, colors, width=2, label_colors="black", fill_labels=True)


def _figure(seed: int, index: int) -> UInt8[Tensor, "3 c c"]:
    scene = render_figure_scene(seed, "pool", index)
    cell, scale = _cell(scene.image)
    joints = (torch.from_numpy(np.asarray(scene.joints, dtype=np.float32))[None] + 0.5) * scale
    seen = torch.from_numpy(np.asarray(scene.visible))[None]
    limbs = [pair for pair in LIMBS if seen[0, list(pair)].all()]
    cell = draw_keypoints(cell, joints, limbs, radius=0, width=1, visibility=seen)
    for side, color in ((RIGHT, COLORS[5]), (LEFT, COLORS[1]), (MIDDLE, COLORS[3])):
        places = list(side)
        cell = draw_keypoints(cell, joints[:, places], colors=color, radius=3, visibility=seen[:, places])
    return cell


DRAWN: dict[str, Callable[[int, int], UInt8[Tensor, "3 c c"]]] = {
    "classification": _object,
    "detection": _objects,
    "pose": _figure,
}
"""How a scene of each kind is drawn with its labels: by the scenes' seed and the image's place in the pool."""
