"""How objects of rendered scenes are drawn."""

import numpy as np
import pytest

from tasks.datasets.scenes import CLASSES, drawing


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_a_silhouette_fills_the_square_asked_for(label: int) -> None:
    mask = drawing.silhouette(label, 96, np.array([40.0, 50.0]), 30.0, np.random.default_rng(label))
    left, top, right, bottom = drawing.bounding_box(mask)
    assert 28 <= max(right - left, bottom - top) <= 31
    assert (left + right - 1) / 2 == pytest.approx(40, abs=1)
    assert (top + bottom - 1) / 2 == pytest.approx(50, abs=1)


def test_a_ring_has_a_hole() -> None:
    mask = drawing.silhouette(CLASSES.index("ring"), 64, np.array([31.5, 31.5]), 40.0, np.random.default_rng(0))
    assert mask[31, 31] == 0
    assert mask.max() == 1


def test_a_patch_hides_the_share_asked_for() -> None:
    mask = drawing.silhouette(0, 96, np.array([48.0, 48.0]), 50.0, np.random.default_rng(0))
    patch = drawing.cover(mask, 0.3, np.random.default_rng(1))
    assert (mask * patch).sum() / mask.sum() == pytest.approx(0.3, abs=0.03)


def test_a_box_ends_at_the_last_visible_pixels() -> None:
    mask = np.zeros((9, 9), np.float32)
    mask[2:5, 3:8] = 1
    assert drawing.bounding_box(mask) == (3, 2, 8, 5)
    with pytest.raises(ValueError, match="no box"):
        drawing.bounding_box(np.zeros((9, 9), np.float32))


def test_contrast_scales_the_difference_from_the_background() -> None:
    behind = np.array([90, 100, 110], np.float32)
    full, faint = (drawing.foreground_color(0.3, behind, contrast, np.random.default_rng(0)) for contrast in (1.0, 0.2))
    assert faint - behind == pytest.approx(0.2 * (full - behind), abs=1e-3)
    assert 0.32 * 255 < (full - behind) @ drawing.LUMINANCE < 0.46 * 255
