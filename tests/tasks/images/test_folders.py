"""Folders of images in every form of data: what is hidden is left out, and images that are not read are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tasks.datasets.classes.class_files import class_folders
from tasks.datasets.masks import load_folder
from tasks.datasets.pools.folder import image_files
from tasks.datasets.yolo import listed_images

Listed = Callable[[Path], Sequence[Path]]


@pytest.mark.parametrize(
    ("listed", "named"),
    [
        (lambda root: class_folders(root).files, "photos"),
        (lambda root: listed_images(root, "cat", "the images"), "photos/cat"),
        (lambda root: load_folder(root / "cat", root).images, "photos/cat"),
        (lambda root: tuple(image_files(root / "cat").values()), "photos/cat"),
    ],
    ids=["class folders", "yolo", "masks", "pool"],
)
def test_images_in_other_forms_are_counted_and_hidden_ones_are_none(
    listed: Listed, named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "photos"
    folder, hidden = root / "cat", root / "cat/.ipynb_checkpoints"
    hidden.mkdir(parents=True)
    for path in (folder / "b.jpg", folder / "a.PNG", folder / "c.tif", folder / "d.GIF", folder / "notes.txt"):
        path.touch()
    for path in (hidden / "b-checkpoint.jpg", hidden / "e.tif", folder / "._b.jpg", folder / "._f.tiff"):
        path.touch()
    assert list(listed(root)) == [folder / "a.PNG", folder / "b.jpg"]
    line = (
        f"lossbench: {tmp_path / named}: 2 images in forms that are not read (.gif, .tif); convert them to JPEG or PNG"
    )
    assert caplog.messages == [line]
