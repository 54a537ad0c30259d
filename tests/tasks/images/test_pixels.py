"""Images in memory and their geometry: places of pixels and of annotations must move together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generators import rng
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tasks.images import augment
from tasks.images.augment import Transforms
from tasks.images.pixels import Colors, Pixels

PLAIN = Colors(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), fill=(0.0, 0.0, 0.0))
IDENTITY = np.array([[[1.0, 0, 0], [0, 1, 0]]])
SIDE = 48


def noise(count: int, side: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8))


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


def test_the_content_of_the_same_images_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, gathered = Pixels(noise(4, 8), 8), []
    gather = Pixels._gathered

    def counting(own: Pixels, ids: np.ndarray) -> Tensor:
        gathered.append(ids.tolist())
        return gather(own, ids)

    monkeypatch.setattr(Pixels, "_gathered", counting)
    contents = [pixels.content(np.array(ids)) for ids in ([1, 2], [2, 1], [1, 2], [1])]
    assert contents[0] == contents[2]
    assert len(set(contents)) == 3
    assert gathered == [[1, 2], [2, 1], [1]]


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
