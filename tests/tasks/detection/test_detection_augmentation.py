"""Crops and zooms around objects: overlaps, centers, sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generators import rng
from torchvision.ops import box_iou

from tasks.detection.augment import MINIMUM_OVERLAPS, SMALLEST_SIDE, crops, ssd_transforms, zoomed_out
from tasks.images import augment

IDENTITY = np.array([[[1.0, 0, 0], [0, 1, 0]]])


class Recorded(np.random.Generator):
    """Keeps what was chosen."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.chosen = np.empty(0)

    def choice(self, *arguments: object, **named: object) -> np.ndarray:
        self.chosen = super().choice(*arguments, **named)
        return self.chosen


def random_boxes(count: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = rng(seed)
    corner, sides = random.uniform(0, 0.7, (count, most, 2)), random.uniform(0.1, 0.3, (count, most, 2))
    real = np.arange(most) < random.integers(0, most + 1, (count, 1))
    return np.concatenate([corner, corner + sides], 2), real


def test_crops_keep_the_drawn_overlap_and_a_center() -> None:
    boxes, real = random_boxes(400, 3, 1)
    generator = Recorded(5)
    places = crops(generator, boxes, real)
    width, left, height, top = places[:, 0, 0], places[:, 0, 2], places[:, 1, 1], places[:, 1, 2]
    windows = np.stack([left, top, left + width, top + height], 1)
    whole = (windows == [0, 0, 1, 1]).all(1)
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    held = ((center > windows[:, None, :2]) & (center < windows[:, None, 2:])).all(2) & real
    overlap = np.array(
        [
            box_iou(torch.from_numpy(window[None]), torch.from_numpy(some[is_real])).max() if is_real.any() else -1
            for window, some, is_real in zip(windows, boxes, real, strict=True)
        ]
    )
    cropped = ~whole
    assert cropped.sum() > 60
    assert held[cropped].any(1).all()
    assert np.all(overlap[cropped] >= generator.chosen[cropped] - 1e-9)
    assert whole[np.isnan(generator.chosen)].all()
    assert whole[~real.any(1)].all()
    assert np.all((windows >= 0) & (windows <= 1 + 1e-9))
    assert np.all((width >= SMALLEST_SIDE) & (height >= SMALLEST_SIDE))
    ratio = width[cropped] / height[cropped]
    assert np.all((ratio >= 0.5) & (ratio <= 2))
    for minimum in (-np.inf, 0.1):  # small objects cannot fill a window, so the large minima seldom succeed here
        assert cropped[(generator.chosen == minimum) & real.any(1)].mean() > 0.5


def test_all_of_ssds_minimum_overlaps_are_drawn() -> None:
    assert MINIMUM_OVERLAPS[:-1] == (-np.inf, 0.1, 0.3, 0.5, 0.7, 0.9)  # published code has lost the 0.5
    assert np.isnan(MINIMUM_OVERLAPS[-1])
    generator = Recorded(0)
    crops(generator, np.tile([0.2, 0.2, 0.9, 0.9], (300, 1, 1)), np.ones((300, 1), bool))
    assert set(generator.chosen[~np.isnan(generator.chosen)]) == set(MINIMUM_OVERLAPS[:-1])


@pytest.mark.parametrize("minimum", [0.5, 0.9])
def test_large_objects_are_cropped_at_every_minimum(minimum: float) -> None:
    generator = Recorded(0)
    places = crops(generator, np.tile([0.05, 0.05, 0.95, 0.95], (2000, 1, 1)), np.ones((2000, 1), bool))
    assert np.any((places[:, 0, 0] < 1)[generator.chosen == minimum])


def test_padding_is_no_object() -> None:
    boxes = np.tile([0.1, 0.1, 0.9, 0.9], (50, 2, 1))
    assert np.array_equal(crops(rng(), boxes, np.zeros((50, 2), bool)), IDENTITY.repeat(50, 0))


def test_zooming_out_keeps_the_whole_image() -> None:
    places = zoomed_out(rng(), 2000, 4.0)
    corners = augment.transform_points(np.tile([[0.0, 0], [1, 1]], (2000, 1, 1)), places)
    assert corners.min() >= -1e-9
    assert corners.max() <= 1 + 1e-9
    sides = corners[:, 1] - corners[:, 0]
    assert sides[:, 0] == pytest.approx(sides[:, 1])
    assert sides.min() == pytest.approx(0.25, abs=0.01)
    assert np.mean(sides[:, 0] > 1 - 1e-9) == pytest.approx(0.5, abs=0.04)


def test_the_whole_augmentation_shows_objects_and_mirrors() -> None:
    boxes, _ = random_boxes(300, 2, 3)
    places = ssd_transforms(rng(2), boxes, np.ones((300, 2), bool), 4.0)
    center = augment.transform_points((boxes[..., :2] + boxes[..., 2:]) / 2, places)
    assert ((center > 0) & (center < 1)).all(2).any(1).all()
    assert (places[:, 0, 0] < 0).mean() == pytest.approx(0.5, abs=0.1)
