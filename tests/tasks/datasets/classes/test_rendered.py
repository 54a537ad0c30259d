"""Rendered scenes in the cache: what is damaged is rendered again, nothing is unpickled, records know the data as before."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.datasets.classes.rendered import load_rendered
from tasks.datasets.scenes import MASKS_LAYOUT, MPII_LAYOUT, OBJECTS_LAYOUT, VOC_LAYOUT, materialize
from tasks.datasets.scenes.layouts import OBJECTS_FILE, Layout
from tasks.settings import SceneSettings

SETTINGS = SceneSettings(seed=1, pool=5, test=1)
LAYOUTS = (OBJECTS_LAYOUT, VOC_LAYOUT, MPII_LAYOUT, MASKS_LAYOUT)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=LAYOUTS, ids=lambda layout: layout.name)
def layout(request: pytest.FixtureRequest) -> Layout:
    return request.param


@pytest.fixture(scope="module")
def whole(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return materialize(layout, SETTINGS, tmp_path_factory.mktemp("whole"))


def test_the_fingerprint_is_that_of_the_files_of_the_first_records(tmp_path: Path) -> None:
    # The MD5 sums of the seven pickled files that Lossbench 0.1 wrote for these settings, in the order of their names.
    assert load_rendered(materialize(OBJECTS_LAYOUT, SETTINGS, tmp_path)).fingerprint == (
        "da28f27f7534e6a8b214b421b9484c18-35b3b31aecf2c471a7c79f4eeec35d92-c45f087a603dd26026b6bea825625647-"
        "d792a736236cbb3b947848a675fb7f42-766dc0e5ca6041503da9dc4304026bbd-173e57f54a8a79cd7fabd1bd0f48f035-"
        "ee7caea6d70305d64dd736547ea75f21"
    )


def test_the_fingerprint_is_of_images_and_labels(tmp_path: Path) -> None:
    folder = materialize(OBJECTS_LAYOUT, SETTINGS, tmp_path)
    before = load_rendered(folder).fingerprint
    with np.load(folder / OBJECTS_FILE) as file:
        arrays = dict(file)
    for name, values in arrays.items():
        changed = {**arrays, name: values.copy()}
        changed[name].flat[0] ^= 1
        np.savez(folder / OBJECTS_FILE, **changed)
        assert load_rendered(folder).fingerprint != before


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (self.mark,)


def test_no_pickle_of_a_cache_is_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, mark = materialize(OBJECTS_LAYOUT, SETTINGS, tmp_path), tmp_path / "executed"
    before = contents(folder)
    arrays = np.array([Payload(mark)], dtype=object)
    np.savez(folder / OBJECTS_FILE, pool_images=arrays, pool_labels=arrays, test_images=arrays, test_labels=arrays)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_rendered(folder)
    (folder / OBJECTS_FILE).write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ValueError, match="pickled"):
        load_rendered(folder)
    assert contents(materialize(OBJECTS_LAYOUT, SETTINGS, tmp_path)) == before
    assert "rendered again" in caplog.text
    assert not mark.exists()


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(_: bytes) -> bytes:
    return b""


def zeroed(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(min(16, len(content) - middle)) + content[middle + 16 :]


@pytest.mark.parametrize("damage", [truncated, emptied, zeroed, None])
def test_damaged_scenes_are_rendered_again_and_one_line_says_so(
    whole: Path,
    layout: Layout,
    damage: Callable[[bytes], bytes] | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wanted = contents(whole)
    for name in (max(wanted, key=lambda each: len(wanted[each])), "factors.json", "digests.json"):
        shutil.copytree(whole, tmp_path / whole.name)
        file = tmp_path / whole.name / name
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage(wanted[name]))
        caplog.clear()
        folder = materialize(layout, SETTINGS, tmp_path)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        line = record.getMessage()
        assert line.startswith(f"lossbench: {folder} is damaged (")
        assert name.partition("/")[0] in line
        assert line.endswith("; its scenes are rendered again")
        assert contents(folder) == wanted
        assert [path.name for path in tmp_path.iterdir()] == [folder.name], "no lock and nothing unfinished is left"
        shutil.rmtree(folder)
