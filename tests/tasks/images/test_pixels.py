"""Images in memory and their augmentation: places of pixels and of annotations must move together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from tasks.detection.augment import MINIMUM_OVERLAPS, SMALLEST_SIDE, crops, ssd_transforms, zoomed_out
from tasks.images import augment
from tasks.images.augment import Transforms
from tasks.images.pixels import Colors, Pixels

PLAIN = Colors(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), fill=(0.0, 0.0, 0.0))
IDENTITY = np.array([[[1.0, 0, 0], [0, 1, 0]]])
SIDE = 48


def noise(count: int, side: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ramp(side: int) -> Tensor:
    """Grey that rises from left to right."""
    return torch.linspace(0, 255, side).round().to(torch.uint8).expand(1, 3, side, side).contiguous()


def test_read_gives_the_asked_images_normalised() -> None:
    stored = noise(4, 8)
    pixels = Pixels(stored, 8, Colors(mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 5.0)))
    images = pixels.read(np.array([3, 1, 3]))
    assert len(pixels) == 4
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[0, 1, 2, 5].item() == pytest.approx((int(stored[3, 1, 2, 5]) - 20) / 4)
    assert images[1, 2, 7, 0].item() == pytest.approx((int(stored[1, 2, 7, 0]) - 30) / 5)
    assert torch.equal(images[0], images[2])


def test_the_identity_warps_nothing() -> None:
    pixels = Pixels(noise(3, 16), 16)
    ids = np.arange(3)
    assert torch.allclose(pixels.read(ids), pixels.warp(ids, IDENTITY.repeat(3, 0), None), atol=1e-4)


@pytest.mark.parametrize("margin", [1.25, 1.5, 2.0])
def test_the_frame_is_the_middle_of_a_stored_square(margin: float) -> None:
    stored = noise(2, round(32 * margin))
    edge = (stored.shape[-1] - 32) // 2
    pixels = Pixels(stored, 32, PLAIN, margin)
    middle = stored[..., edge : edge + 32, edge : edge + 32].float()
    assert torch.equal(pixels.read(np.arange(2)), middle)
    assert torch.allclose(pixels.warp(np.arange(2), IDENTITY.repeat(2, 0), None), middle, atol=1e-2)


@pytest.mark.parametrize("size", [16, 24, 64])
def test_another_size_shows_the_same_place(size: int) -> None:
    pixels = Pixels(ramp(40), size, PLAIN, margin=1.25)
    read, warped = pixels.read(np.arange(1)), pixels.warp(np.arange(1), IDENTITY, None)
    assert read.shape == warped.shape == (1, 3, size, size)
    # Centers of pixels, as shares of the frame, which are stored pixels 4 to 36.
    expected = ((torch.arange(size) + 0.5) / size * 32 + 4 - 0.5) * 255 / 39
    inside = slice(2, -2)  # at the border, resizing clamps and warping does not
    assert read[0, 0, size // 2, inside].tolist() == pytest.approx(expected[inside].tolist(), abs=2)
    assert warped[0, 0, size // 2, inside].tolist() == pytest.approx(expected[inside].tolist(), abs=2)


def test_shrinking_is_antialiased() -> None:
    checkers = (torch.arange(32).view(1, 1, 32, 1) + torch.arange(32).view(1, 1, 1, 32)) % 2 * 255
    small = Pixels(checkers.expand(1, 3, 32, 32).to(torch.uint8), 8, PLAIN).read(np.arange(1))
    assert small.min() > 110
    assert small.max() < 145


def test_what_lies_outside_has_the_fill_color() -> None:
    colors = Colors(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), fill=(7.0, 50.0, 200.0))
    outside = augment.windows(*(np.array([value]) for value in (3.0, 0.0, 1.0, 1.0)))
    image = Pixels(noise(1, 8), 8, colors).warp(np.arange(1), outside, None)
    assert torch.equal(image, torch.tensor([7.0, 50, 200]).view(1, 3, 1, 1).expand(1, 3, 8, 8))


def test_colors_are_mapped_and_kept_in_range() -> None:
    stored = torch.tensor([10, 100, 250], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4).contiguous()
    mixing = np.array([[[0, 1, 0, 5], [2, 0, 0, 0], [0, 0, 1, 90]]], dtype=np.float32)
    image = Pixels(stored, 4, PLAIN).warp(np.arange(1), IDENTITY, mixing)
    assert image[0, :, 2, 2].tolist() == pytest.approx([105, 20, 255])


def dot(x: float, y: float) -> Pixels:
    """A soft bright dot at a place of the frame, which fills four fifths of the stored square."""
    stored, margin = SIDE * 5 // 4, 1.25
    cells = (torch.arange(stored) + 0.5) / stored
    x, y = 0.5 + (x - 0.5) / margin, 0.5 + (y - 0.5) / margin
    image = torch.exp(-((cells.view(1, -1) - x) ** 2 + (cells.view(-1, 1) - y) ** 2) / (2 * (1.5 / stored) ** 2))
    return Pixels((image * 255).round().to(torch.uint8).expand(1, 3, -1, -1).contiguous(), SIDE, PLAIN, margin)


def seen_at(image: Tensor) -> np.ndarray:
    """The center of mass of an image, in [0, 1] over it."""
    mass = image[0, 0].double()
    cells = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE
    return np.array([(mass.sum(0) * cells).sum() / mass.sum(), (mass.sum(1) * cells).sum() / mass.sum()])


def drawn_map(kind: str, seed: int) -> Transforms:
    random = rng(seed)
    if kind == "flip":
        return augment.flips(random, 1)
    if kind == "turn":
        return augment.rotations(random.uniform(-0.6, 0.6, 1), random.uniform(0.75, 1.25, 1))
    if kind == "window":
        return augment.windows(*random.uniform(-0.2, 0.2, (2, 1)), *random.uniform(0.8, 1.6, (2, 1)))
    first, second = (drawn_map(each, seed + 1) for each in ("flip", "turn"))
    return augment.compose(first, augment.compose(drawn_map("window", seed), second))


@pytest.mark.parametrize("kind", ["flip", "turn", "window", "all together"])
@settings(max_examples=25, deadline=None)
@given(x=st.floats(0.3, 0.7), y=st.floats(0.3, 0.7), seed=st.integers(0, 10**6))
def test_a_dot_is_seen_where_its_place_moved(kind: str, x: float, y: float, seed: int) -> None:
    places = drawn_map(kind, seed)
    expected = augment.transform_points(np.array([[[x, y]]]), places)[0, 0]
    assume(((expected > 0.1) & (expected < 0.9)).all())  # else the dot would be cut off
    assert seen_at(dot(x, y).warp(np.arange(1), places, None)) == pytest.approx(expected, abs=0.3 / SIDE)


@pytest.mark.parametrize("size", [32, 40])
def test_warping_is_torchs_own_affine_sampling(size: int) -> None:
    stored = noise(5, 40)
    places = augment.compose(
        augment.rotations(rng().uniform(-1, 1, 5), rng().uniform(0.5, 2, 5)),
        augment.windows(*rng().uniform(-1, 2, (4, 5))),
    )
    matrix, shift = places[:, :, :2], places[:, :, 2:]
    centered = np.concatenate([matrix, matrix.sum(2, keepdims=True) + 2 * shift - 1], 2)  # from 0..1 to -1..1
    grid = functional.affine_grid(torch.from_numpy(centered).float(), [5, 3, size, size], align_corners=False)
    expected = functional.grid_sample(stored.float(), grid, align_corners=False)
    warped = Pixels(stored.clone(), size, PLAIN).warp(np.arange(5), places, None)
    assert torch.allclose(warped, expected, atol=1e-2)


def test_warping_and_reading_leave_the_stored_images_alone() -> None:
    stored = noise(5, 40)
    pixels = Pixels(stored.clone(), 40)
    before = pixels.read(np.arange(5)).clone()
    pixels.warp(np.arange(5), IDENTITY.repeat(5, 0), None)
    assert torch.equal(pixels.frames(np.arange(5)), stored)
    assert torch.equal(pixels.read(np.arange(5)), before)


def test_then_applies_the_first_map_first() -> None:
    flip = np.array([[[-1.0, 0, 1], [0, 1, 0]]])
    left_half = augment.windows(*(np.array([value]) for value in (0.0, 0.0, 0.5, 1.0)))
    point = np.array([[[0.9, 0.3]]])
    # Mirrored it stands at 0.1, and 0.1 of the whole is 0.2 of its left half.
    assert augment.transform_points(point, augment.compose(flip, left_half))[0, 0] == pytest.approx([0.2, 0.3])
    assert augment.transform_points(point, augment.compose(left_half, flip))[0, 0] == pytest.approx([-0.8, 0.3])


@given(seed=st.integers(0, 10**6))
def test_moving_in_two_steps_is_moving_by_both(seed: int) -> None:
    first, second = drawn_map("turn", seed), drawn_map("window", seed)
    points = rng(seed).random((1, 5, 2))
    once = augment.transform_points(points, augment.compose(first, second))
    assert augment.transform_points(augment.transform_points(points, first), second) == pytest.approx(once)


def test_a_turn_is_clockwise_about_the_center_and_magnifies() -> None:
    quarter = augment.rotations(np.array([np.pi / 2, 0.0]), np.array([1.0, 2.0]))
    points = np.array([[[0.5, 0.5], [0.5, 0.2]], [[0.5, 0.5], [0.6, 0.5]]])
    moved = augment.transform_points(points, quarter)
    assert moved[:, 0] == pytest.approx(np.full((2, 2), 0.5))
    assert moved[0, 1] == pytest.approx([0.8, 0.5])  # twelve o'clock becomes three
    assert moved[1, 1] == pytest.approx([0.7, 0.5])


def test_half_of_the_images_are_mirrored() -> None:
    mirrored = augment.flips(rng(), 4000)[:, 0, 0] < 0
    assert mirrored.mean() == pytest.approx(0.5, abs=0.04)
    assert len(np.unique(mirrored[:20])) > 1


def seen(maps: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    return maps[:, :, :3] @ np.array(color) + maps[:, :, 3]


def test_where_nothing_is_drawn_colors_stay() -> None:
    maps = augment.photometric(rng(), 4000)
    assert maps.dtype == np.float32
    untouched = (np.abs(maps - np.eye(3, 4)) < 1e-4).all((1, 2))
    assert untouched.mean() == pytest.approx(1 / 16, abs=0.02)
    assert np.abs(maps - np.eye(3, 4))[~untouched].max((1, 2)).min() > 1e-4


@given(grey=st.floats(0, 255), seed=st.integers(0, 10**6))
def test_grey_stays_grey(grey: float, seed: int) -> None:
    colors = seen(augment.photometric(rng(seed), 8), (grey, grey, grey))
    assert colors == pytest.approx(colors.mean(1, keepdims=True).repeat(3, 1), abs=0.01)
    assert np.all(colors >= 0.5 * min(grey - 32, 3 * (grey - 32)) - 17)  # contrast 0.5 to 1.5 after brightness
    assert np.all(colors <= 1.5 * (grey + 32) + 0.01)


def test_each_part_of_the_distortion_happens_and_half_of_the_time() -> None:
    maps = augment.photometric(rng(), 4000)
    grey = seen(maps, (100, 100, 100))[:, 0]
    untouched = (np.abs(grey - 100) < 1e-3).mean()
    assert untouched == pytest.approx(0.25, abs=0.03)  # neither brightness nor contrast
    black = seen(maps, (0, 0, 0))[:, 0]  # 32 of brightness, and then 1.5 of contrast
    assert (black.min(), black.max()) == pytest.approx((-48, 48), abs=2)
    red = seen(maps, (200, 50, 50))
    same = (np.abs(red - [200, 50, 50]) < 1e-2).all(1).mean()
    assert same == pytest.approx(1 / 16, abs=0.02)
    spread = red.max(1) - red.min(1)  # 150 by contrast and saturation, with a little from hue
    assert spread.max() > 1.3 * 150
    assert spread.min() < 0.4 * 150


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
