"""Images are read as a viewer shows them, whatever their mode, depth and orientation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import DataError
from tasks.images.decoding import decode_squares, image_size

RED, BLUE, GRAY = (255, 0, 0), (0, 0, 255), (128, 128, 128)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    """Two colors side by side, 32 x 16 pixels."""
    image = Image.new("RGB", (32, 16), left)
    image.paste(right, (16, 0, 32, 16))
    return image


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def corners(path: Path) -> list[tuple[int, ...]]:
    """The colors at the four corners, row by row: left and right above, left and right below."""
    (square,) = decode_squares([path], 16).permute(0, 2, 3, 1).tolist()
    return [tuple(square[row][column]) for row in (1, -2) for column in (1, -2)]


@pytest.mark.parametrize(
    ("orientation", "wanted"),
    [
        (1, [RED, BLUE, RED, BLUE]),
        (2, [BLUE, RED, BLUE, RED]),
        (3, [BLUE, RED, BLUE, RED]),
        (4, [RED, BLUE, RED, BLUE]),
        (5, [RED, RED, BLUE, BLUE]),
        (6, [RED, RED, BLUE, BLUE]),
        (7, [BLUE, BLUE, RED, RED]),
        (8, [BLUE, BLUE, RED, RED]),
    ],
)
def test_an_image_is_turned_as_its_orientation_says(
    orientation: int, wanted: list[tuple[int, ...]], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, halves(RED, BLUE), exif=exif)
    assert corners(path) == wanted
    assert image_size(path) == ((16, 32) if orientation >= 5 else (32, 16))


def test_a_box_lies_in_the_turned_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the left half is the upper one
    path = saved(tmp_path, halves(RED, BLUE), exif=exif)
    upper = decode_squares([path], 4, [np.array([0, 0, 16, 16.0])])
    assert upper.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0).tolist() == [list(RED)]


MODES: dict[str, tuple[Callable[[], Image.Image], tuple[int, int, int]]] = {
    "gray": (lambda: Image.new("L", (8, 8), 128), GRAY),
    "gray, 16 bits": (lambda: Image.fromarray(np.full((8, 8), 128 << 8, np.uint16)), GRAY),
    "gray and transparent": (lambda: Image.new("LA", (8, 8), (0, 0)), (255, 255, 255)),
    "black and white": (lambda: Image.new("1", (8, 8), 1), (255, 255, 255)),
    "palette": (lambda: Image.new("RGB", (8, 8), BLUE).convert("P"), BLUE),
    "transparent": (lambda: Image.new("RGBA", (8, 8), (0, 0, 255, 0)), (255, 255, 255)),
    "half transparent": (lambda: Image.new("RGBA", (8, 8), (0, 0, 0, 127)), GRAY),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_the_color_that_is_seen(mode: str, tmp_path: Path) -> None:
    make, color = MODES[mode]
    assert set(corners(saved(tmp_path, make()))) == {color}


def test_a_transparent_color_of_a_palette_is_white(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("P", (8, 8), 0), transparency=0)
    assert set(corners(path)) == {(255, 255, 255)}


def test_print_colors_become_those_of_a_screen(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "image.jpg", quality=95)
    assert np.abs(np.array(corners(path)) - RED).max() <= 4


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), color) for color in (RED, BLUE))
    path = saved(tmp_path, first, "image.webp", save_all=True, append_images=[second], lossless=True)
    assert set(corners(path)) == {RED}


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PPM"])
def test_other_forms_are_refused_with_those_that_are_read(form: str, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (8, 8)), "image.png", format=form)
    with pytest.raises(
        DataError, match=r"image.png cannot be decoded \(it is no whole image in JPEG, PNG, BMP or WebP"
    ):
        image_size(path)
