"""Near-duplicates: altered copies are found, other images are not."""

from __future__ import annotations

import io
import time
import tracemalloc

import numpy as np
import pytest
import torch
from photo_folders import photograph
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from lossbench.files import MEBIBYTE
from lossbench.labeling import duplicates
from lossbench.labeling.duplicates import BITS, Looks, looks, near_duplicates
from tasks.base import UnlabeledTask
from tasks.images.pixels import Pixels


class Shown(UnlabeledTask):
    """Images alone."""

    posteriors = losses = pseudo_targets = embed = None  # pyright: ignore - no model


def looks_of(images: list[Image.Image]) -> Looks:
    squares = [np.asarray(image.resize((160, 160), Image.Resampling.BILINEAR)).transpose(2, 0, 1) for image in images]
    pixels = Pixels(torch.from_numpy(np.stack(squares)), 160)
    return looks(Shown(pixels), np.arange(len(images)))


def altered(image: Image.Image, how: str) -> Image.Image:
    if how == "JPEG":
        content = io.BytesIO()
        image.save(content, "JPEG", quality=30)
        return Image.open(content)
    if how == "half the size":
        return image.resize((80, 80), Image.Resampling.BILINEAR)
    return ImageEnhance.Brightness(image).enhance(1.05)


@pytest.mark.parametrize("how", ["half the size", "brighter"])
def test_altered_copies_are_one_group_each_and_others_are_not(how: str) -> None:
    originals = [photograph(number, 160) for number in range(40)]
    copies = [altered(image, how) for image in originals]
    groups = near_duplicates(looks_of(originals + copies), 3)
    assert len(set(groups[:40].tolist())) == 40
    np.testing.assert_array_equal(groups[:40], groups[40:])


def digits(margin: int) -> list[Image.Image]:
    """200 scanned digits of 8 x 8 pixels on black, with a margin at each side."""
    squares = np.pad(
        load_digits(return_X_y=True)[0][:200].reshape(-1, 8, 8), ((0, 0), (margin, margin), (margin, margin))
    )
    return [Image.fromarray((each / 16 * 255).astype(np.uint8)).convert("RGB").resize((96, 96)) for each in squares]


@pytest.mark.parametrize("margin", [2, 4])
@pytest.mark.parametrize("how", ["half the size", "brighter", "JPEG"])
def test_small_objects_on_a_plain_background_are_told_apart_and_their_copies_found(margin: int, how: str) -> None:
    originals = digits(margin)
    groups = near_duplicates(looks_of(originals + [altered(image, how) for image in originals]), 3)
    assert len(set(groups.tolist())) > 190
    assert (groups[:200] == groups[200:]).mean() > 0.98


def test_a_mirrored_image_is_no_duplicate() -> None:
    image = photograph(3)
    groups = near_duplicates(looks_of([image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]), 3)
    assert groups[0] != groups[1]


def test_images_without_structure_are_alike_only_if_their_pixels_are() -> None:
    """Two smooth images have one hash, a dark disk in the middle or not."""
    flat, ramp = np.zeros((1, BITS), np.float32), np.zeros((1, BITS), np.float32)
    ramp[0, :32], ramp[0, 32:] = -40, 40
    images = Looks(np.zeros((3, BITS), bool), np.concatenate([flat, flat, ramp]))
    groups = near_duplicates(images, 3)
    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize("most_bits", [0, 2, 3, 7])
def test_pairs_are_those_that_comparing_all_gives(most_bits: int) -> None:
    rng = np.random.default_rng(most_bits)
    bits = rng.random((5, BITS))[rng.integers(0, 5, 60)] < 0.5
    flipped = rng.random(bits.shape) < 0.05
    images = Looks(bits ^ flipped, np.zeros(bits.shape, np.float32))
    near = (images.bits[:, None] != images.bits[None]).sum(2) <= most_bits
    for _ in range(6):
        near = near @ near  # over others
    groups = near_duplicates(images, most_bits)
    np.testing.assert_array_equal(groups[:, None] == groups[None], near)


@pytest.mark.parametrize("most_neighbors", [0, 1000], ids=["plain comparison", "search"])
def test_a_search_among_many_of_one_key_misses_no_pair(monkeypatch: pytest.MonkeyPatch, most_neighbors: int) -> None:
    monkeypatch.setattr(duplicates, "SHIFTS", 3)
    monkeypatch.setattr(duplicates, "PAIRS", 50)
    monkeypatch.setattr(duplicates, "MOST_NEIGHBORS", most_neighbors)
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 12, (60, BITS)) * (np.arange(BITS) < 50)
    gray = np.repeat(centers, 5, axis=0) + rng.normal(0, 1, (300, BITS)) * rng.uniform(0, 8, (300, 1))
    bits = np.zeros((300, BITS), bool)
    bits[:, :6] = rng.random((300, 6)) < 0.3
    images = Looks(bits, gray.astype(np.float32))
    limits = duplicates._limits(images.gray)
    near = (bits[:, None] != bits[None]).sum(2) <= 3
    near &= np.abs(images.gray[:, None] - images.gray[None]).mean(2) <= np.minimum(limits[:, None], limits[None])
    joined = near.copy()
    for _ in range(9):
        joined = joined @ joined
    assert 1.1 < near.sum(1).mean() < 5
    groups = near_duplicates(images, 3)
    np.testing.assert_array_equal(groups[:, None] == groups[None], joined)


def test_images_with_a_plain_margin_are_not_all_compared() -> None:
    """Bits of the margin are the same in all: a quarter of the hash that lies in it would be one key."""
    rng, count = np.random.default_rng(0), 20_000
    bits, gray = np.zeros((count, 8, 8), bool), np.full((count, 8, 8), 60, np.float32)
    bits[:, 2:6], gray[:, 2:6, 1:7] = rng.random((count, 4, 8)) < 0.5, rng.uniform(-150, 60, (count, 4, 6))
    began = time.process_time()
    groups = near_duplicates(Looks(bits.reshape(count, BITS), gray.reshape(count, BITS)), 3)
    assert len(set(groups.tolist())) == count
    assert time.process_time() - began < 5, "comparing all takes a minute"


def test_frames_of_one_camera_are_grouped_without_comparing_all_pairs() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.choice(3, 5_000, p=[0.6, 0.39, 0.01])
    bits = rng.random((3, BITS)) < 0.5
    bits[2] = bits[1]  # of the same hash, and other pixels
    gray = np.array([[0.0], [40.0], [-40.0]])[scenes] + rng.normal(0, 1, (5_000, BITS))
    tracemalloc.start()
    began = time.process_time()
    groups = near_duplicates(Looks(bits[scenes], gray.astype(np.float32)), 3)
    seconds, (_, most) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(zip(scenes.tolist(), groups.tolist(), strict=True))) == len(set(groups.tolist())) == 3
    assert most < 50 * MEBIBYTE, "of 6 million alike pairs, 16 bytes each, 5,000 are needed"
    assert seconds < 10


def test_nothing_is_left_out_where_no_bits_are_allowed() -> None:
    images = looks_of([photograph(1)] * 3)
    assert len(set(near_duplicates(images, -1).tolist())) == 3
    assert len(set(near_duplicates(images, 0).tolist())) == 1
