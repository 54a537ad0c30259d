"""Photometric distortion: how often, how strong, and that grey stays grey."""

from __future__ import annotations

import numpy as np
import pytest
from generators import rng
from hypothesis import given
from hypothesis import strategies as st

from tasks.images import augment


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
