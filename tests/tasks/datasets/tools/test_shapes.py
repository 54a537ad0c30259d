"""Outlines: those within their image, those that reach beyond it by a pixel, and those that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.datasets.tools.shapes import coco_mask, decoded, outlined
from tasks.errors import DataError

SIZE = (40, 30)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.floats(-1, 41), st.floats(-1, 31)), min_size=3, max_size=8))
def test_an_outline_is_cut_at_the_border(corners: list[tuple[float, float]]) -> None:
    points = np.array(corners)
    outline = points.ravel().tolist()
    cut = points.clip(0, SIZE)
    if ((cut.max(0) - cut.min(0)).astype(np.float32) < 1e-4).any():
        return
    expected = coco_mask.decode(coco_mask.frPyObjects([cut.ravel().tolist()], 30, 40)).any(2)
    assert (decoded(outlined([outline], SIZE, "it")) == expected).all()


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("value", [math.nan, math.inf, -2.0, 43.0])
def test_a_corner_elsewhere_is_refused(value: float, place: int) -> None:
    outline = [1.0, 1.0, 20.0, 1.0, 20.0, 20.0]
    outline[place] = value
    with pytest.raises(DataError, match=r"it: the outline from .* lies outside its image of 40x30 pixels"):
        outlined([[1.0, 1.0, 20.0, 1.0, 20.0, 20.0], outline], SIZE, "it")


def test_an_outline_without_area_is_refused() -> None:
    with pytest.raises(DataError, match="has no area"):
        outlined([[1.0, 1.0, 20.0, 1.0, 30.0, 1.0]], SIZE, "it")
