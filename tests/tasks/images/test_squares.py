"""Squares in files are those in memory, whatever happens to the files and to the process that makes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disks import full_disk
from joint_files import many, written
from PIL import Image

from tasks import cores
from tasks.datasets.classes.class_files import LabeledFiles, load_files
from tasks.errors import DataError
from tasks.images import decoding, squares
from tasks.images.decoding import decode_squares
from tasks.images.pixels import Pixels
from tasks.images.squares import StoredSquares, decoded
from tasks.kinds import build_task
from tasks.progress import listening

SIDE, COUNT, PER_FILE = 8, 11, 3
IDS = np.array([3, 10, 0, 3])
BOXES = [np.array([1.0, 2, 9, 10 + number]) for number in range(COUNT)]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    paths = [folder / f"{number:02}.png" for number in range(COUNT)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (16, 12, 3), np.uint8)).save(path)
    return paths


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squares, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(squares, "FILE_BYTES", PER_FILE * 3 * SIDE**2)


def stored(paths: list[Path], cache: Path, boxes: list[np.ndarray] | None = None) -> StoredSquares:
    found = decoded(paths, SIDE, cache, boxes)
    assert isinstance(found, StoredSquares)
    return found


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("squares/*/*.npy"))


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The images that are decoded in the block."""
    seen: list[Path] = []
    opened = decoding._opened
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_opened", lambda path: (seen.append(path), opened(path))[1])
        yield seen


@pytest.mark.parametrize("boxes", [None, BOXES])
def test_pixels_are_equal_in_files_and_in_memory(
    boxes: list[np.ndarray] | None, photos: list[Path], tmp_path: Path
) -> None:
    held, kept = decode_squares(photos, SIDE, boxes), stored(photos, tmp_path, boxes)
    assert (kept.shape, len(kept), len(files(tmp_path))) == (held.shape, COUNT, 4)
    assert torch.equal(kept[np.arange(COUNT)], held)
    ours, theirs = Pixels(kept, SIDE, margin=2.0), Pixels(held, SIDE, margin=2.0)
    assert ours.digest() == theirs.digest()
    turned = np.array([[[0.8, 0.3, 0], [-0.3, 0.8, 0.2]]]).repeat(len(IDS), 0)
    for mine, other in ((ours, theirs), (ours.repeated(), theirs.repeated())):
        assert torch.equal(mine.read(IDS), other.read(IDS))
        assert torch.equal(mine.warp(IDS, turned, None), other.warp(IDS, turned, None))
    assert torch.equal(ours.repeated().frames(IDS + COUNT), theirs.frames(IDS))


def test_few_images_stay_in_memory(photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squares, "LARGEST_IN_MEMORY", COUNT * 3 * SIDE**2)
    assert isinstance(decoded(photos, SIDE, tmp_path), torch.Tensor)
    assert isinstance(decoded([*photos, photos[0]], SIDE, tmp_path), StoredSquares)


@pytest.mark.parametrize("change", ["time", "size", "path", "box", "side", None])
def test_what_changes_the_images_makes_a_store_of_its_own(
    change: str | None, photos: list[Path], tmp_path: Path
) -> None:
    boxes, side = BOXES, SIDE
    decoded(photos, side, tmp_path, boxes)
    if change == "time":
        os.utime(photos[4], ns=(0, 1))
    elif change == "size":
        stat = photos[4].stat()
        photos[4].write_bytes(photos[4].read_bytes() + b"\0")
        os.utime(photos[4], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "path":
        photos = [*photos[:4], photos[4].rename(photos[4].with_name("other.png")), *photos[5:]]
    elif change == "box":
        boxes = [*BOXES[:4], BOXES[4] + [0, 0, 0, 1], *BOXES[5:]]
    elif change == "side":
        side += 1
    found = decoded(photos, side, tmp_path, boxes)
    assert torch.equal(found[np.arange(COUNT)], decode_squares(photos, side, boxes))
    assert len(list(tmp_path.glob("squares/*"))) == (1 if change is None else 2)


@pytest.mark.parametrize("harm", ["cut off", "changed", "deleted"])
def test_a_damaged_file_alone_is_made_again(
    harm: str, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = stored(photos, tmp_path)[np.arange(COUNT)]
    path = files(tmp_path)[1]
    content = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    else:
        path.write_bytes(content[:-9] if harm == "cut off" else content[:-1] + bytes([content[-1] ^ 1]))
    with watched(monkeypatch) as seen:
        assert torch.equal(stored(photos, tmp_path)[np.arange(COUNT)], right)
    assert sorted(seen) == photos[PER_FILE : 2 * PER_FILE]


def test_two_that_need_it_share_the_work(photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[StoredSquares] = []
    with watched(monkeypatch) as seen:
        threads = [threading.Thread(target=lambda: found.append(stored(photos, tmp_path))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert torch.equal(found[0][IDS], found[1][IDS])
    assert sorted(seen) == photos


def test_a_killed_process_loses_one_file(photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import sys, time; from pathlib import Path; from tasks import shards; from tasks.images import decoding, squares;"
        f"squares.LARGEST_IN_MEMORY = 0; squares.FILE_BYTES = {squares.FILE_BYTES}; done = shards._write;"
        "shards._write = lambda *given: (done(*given), given[1] == 1 and (print('two', flush=True), time.sleep(60)));"
        f"squares.decoded([Path(each) for each in sys.argv[2:]], {SIDE}, Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), *map(str, photos)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"two\n"
        process.send_signal(signal.SIGKILL)
    assert len(files(tmp_path)) == 2
    with watched(monkeypatch) as seen:
        found = stored(photos, tmp_path)
    assert sorted(seen) == photos[2 * PER_FILE :], "the two files are kept"
    assert torch.equal(found[np.arange(COUNT)], decode_squares(photos, SIDE))


def test_all_bad_images_are_named_in_one_error(photos: list[Path], tmp_path: Path) -> None:
    photos[4].write_bytes(b"no image")
    photos[1].unlink()
    photos[9].write_bytes(photos[9].read_bytes()[:60])
    with pytest.raises(DataError, match=rf"3 of {COUNT} images cannot be read: .*01\.png.*04\.png.*09\.png"):
        decoded(photos, SIDE, tmp_path)
    assert not files(tmp_path), "the first file has a bad image"
    assert not list(tmp_path.glob("squares/*/*.part"))


def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_file(photos: list[Path], tmp_path: Path) -> None:
    with full_disk(), pytest.raises(OSError, match=r"File too large: '.*00000\.part'"):
        decoded(photos, SIDE, tmp_path)
    assert not files(tmp_path) + list(tmp_path.glob("squares/*/*.part"))


def test_progress_says_how_many_images_a_second(photos: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    with listening(said.append):
        decoded(photos, SIDE, tmp_path)
    assert [line.split(",")[0] for line in said] == [f"decoded images: {share} %" for share in (25, 50, 75, 100)]
    assert all(line.endswith(" images/s") for line in said)


def test_a_task_is_the_same_on_both(photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple("ab"[number % 2] for number in range(COUNT))
    kept = load_files(LabeledFiles(tuple(photos), names, None), SIDE, 0.3, tmp_path)
    monkeypatch.setattr(squares, "LARGEST_IN_MEMORY", 2**20)
    held = load_files(LabeledFiles(tuple(photos), names, None), SIDE, 0.3, tmp_path)
    assert isinstance(kept.pixels, StoredSquares)
    assert isinstance(held.pixels, torch.Tensor)
    assert torch.equal(kept.pixels[np.arange(COUNT)], held.pixels)
    assert (kept.fingerprint, kept.pool_size, kept.labels.tolist()) == (held.fingerprint, 7, held.labels.tolist())


def test_batches_are_the_same_on_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = written(tmp_path, many(7), many(3), data={"margin": 1.25})
    kept = build_task(settings, tmp_path, tmp_path, torch.device("cpu"))
    assert list(tmp_path.glob("squares/*/*.npy"))
    monkeypatch.setattr(squares, "LARGEST_IN_MEMORY", 2**30)
    held = build_task(settings, tmp_path, tmp_path / "empty", torch.device("cpu"))
    ids = np.array([8, 2, 2, 0])
    assert torch.equal(kept.unlabeled.images(ids), held.unlabeled.images(ids))
    for mine, other in zip(*(each.augmented(ids, np.random.default_rng(0)) for each in (kept, held)), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)
    assert kept.fingerprints == held.fingerprints


def mapped_kibibytes() -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.partition("RssFile:")[2].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_what_was_read_is_not_counted_as_memory(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squares, "FILE_BYTES", 2**23)
    kept = decoded([photos[0]] * 16, 512, tmp_path)
    before = mapped_kibibytes()
    Pixels(kept, 512).digest()
    kept[np.arange(16)]
    assert mapped_kibibytes() - before < 2**11, "of 12 MiB"


def test_a_large_store_has_few_files(photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squares, "MOST_FILES", 2)
    assert [len(shard) for shard in stored(photos, tmp_path).shards] == [6, 5]
    assert torch.equal(stored(photos, tmp_path)[IDS], decode_squares(photos, SIDE)[torch.from_numpy(IDS)])


def test_workers_of_a_sweep_decode_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "parent_process", lambda: None)
    assert cores.threads_for(1000) == len(os.sched_getaffinity(0))
    monkeypatch.setattr(cores, "parent_process", object)
    assert cores.threads_for(1000) == 1
