"""Pools in tar and Parquet shards and behind addresses give the images of the folder that they were made from; bad ones end in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from photo_folders import photographs
from pyarrow import parquet
from shards import parquet_shard, sharded, tar_shard

from tasks.datasets.pools import finding, places
from tasks.datasets.pools.finding import find_images
from tasks.datasets.pools.parquet import GROUPS_IN_MEMORY, _row_group
from tasks.datasets.pools.places import Place
from tasks.errors import DataError
from tasks.images.decoding import decode_squares, image_size
from tasks.images.files import encoded, state_of
from tasks.images.squares import decoded
from tasks.progress import listening

COUNT, SIDE = 20, 8


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The images of `photos`, in the working directory, by their names."""
    names = photographs(tmp_path / "photos", COUNT)
    monkeypatch.chdir(tmp_path)
    return {name: (tmp_path / "photos" / name).read_bytes() for name in names}


def in_tars(images: dict[str, bytes]) -> str:
    assert len(images) == COUNT
    sharded(Path("photos"), Path("tars"))
    return "tars"


def in_tars_by_pattern(images: dict[str, bytes]) -> str:
    return f"{in_tars(images)}/{{00..01}}.tar"


def in_parquet(images: dict[str, bytes]) -> str:
    parts = list(images.items())
    for number, part in enumerate((parts[:16], parts[16:])):
        parquet_shard(Path(f"tables/{number:02}.parquet"), [each[1] for each in part], [each[0] for each in part])
    return "tables"


def in_memory(images: dict[str, bytes]) -> str:
    system = fsspec.filesystem("memory")
    if system.exists("/pool"):
        system.rm("/pool", recursive=True)
    for path in Path(in_tars(images)).iterdir():
        system.pipe_file(f"/pool/{path.name}", path.read_bytes())
    return "memory://pool"


@pytest.mark.parametrize(
    ("source", "suffix"),
    [(in_tars, "tar"), (in_tars_by_pattern, "tar"), (in_parquet, "parquet"), (in_memory, "tar")],
    ids=["tar", "a pattern", "Parquet", "an address"],
)
def test_all_forms_give_the_same_images(source: Callable[..., str], suffix: str, images: dict[str, bytes]) -> None:
    found = find_images(source(images), Path())
    assert {name.partition("/")[2]: encoded(image) for name, image in found.items()} == images
    assert {name.partition("/")[0] for name in found} == {f"00.{suffix}", f"01.{suffix}"}
    paths = sorted(Path("photos").iterdir())
    assert torch.equal(decode_squares(list(found.values()), SIDE), decode_squares(paths, SIDE))
    assert image_size(found[f"00.{suffix}/003.png"]) == image_size(Path("photos/003.png"))


def test_who_listens_hears_what_threads_look_into(images: dict[str, bytes]) -> None:
    said: list[str] = []
    finding._listed.cache_clear()
    with listening(said.append):
        find_images(in_tars(images), Path())
    assert sorted(said) == ["looking into tars/00.tar", "looking into tars/01.tar"]


def test_a_folder_is_found_as_before_and_behind_an_address_alike(images: dict[str, bytes]) -> None:
    found = find_images("photos", Path())
    assert list(found) == list(images)
    assert all(isinstance(image, Path) for image in found.values())
    address = f"file://{Path('photos').absolute()}"
    assert {name: encoded(image) for name, image in find_images(address, Path()).items()} == images


def test_only_the_image_of_a_key_counts(images: dict[str, bytes]) -> None:
    first, second = list(images.values())[:2]
    members = {
        "a/x.jpg": first,
        "a/x.seg.png": second,
        "a/x.json": b"{}",
        "b/x.v2.png": second,
        "._y.jpg": b"",
        ".z/y.png": b"",
    }
    tar_shard(Path("s.tar"), members)
    found = find_images("s.tar", Path())
    assert {name: encoded(image) for name, image in found.items()} == {
        "s.tar/a/x.jpg": first,
        "s.tar/b/x.v2.png": second,
    }


def test_rows_without_names_are_numbered(images: dict[str, bytes]) -> None:
    parquet_shard(Path("plain.parquet"), list(images.values()))
    found = find_images("plain.parquet", Path())
    assert list(found)[:2] == ["plain.parquet/00.png", "plain.parquet/01.png"]
    assert [encoded(image) for image in found.values()] == list(images.values())


def test_images_of_a_shard_keep_its_order_so_that_a_row_group_is_read_once(images: dict[str, bytes]) -> None:
    names = [f"{7 * number % COUNT:02}.png" for number in range(COUNT)]
    parquet_shard(Path("mixed.parquet"), list(images.values()), names)
    found = find_images("mixed.parquet", Path())
    assert list(found) == [f"mixed.parquet/{name}" for name in names]
    groups = parquet.ParquetFile("mixed.parquet").num_row_groups
    assert groups > GROUPS_IN_MEMORY
    _row_group.cache_clear()
    assert [encoded(image) for image in found.values()] == list(images.values())
    assert _row_group.cache_info().misses == groups


def test_a_store_belongs_to_the_content_of_a_shard(images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    tars = in_tars(images)
    before = [state_of(image) for image in find_images(tars, Path()).values()]
    first, second = (
        decoded(list(find_images(tars, Path()).values()), SIDE, Path("cache"), keep=True) for _ in range(2)
    )
    assert torch.equal(first[np.arange(COUNT)], second[np.arange(COUNT)])
    assert len(list(Path("cache/squares").iterdir())) == 1
    looked: list[str] = []
    with monkeypatch.context() as patch:
        patch.setitem(finding.FORMS, ".tar", lambda place: looked.append(place.shown) or {})
        find_images(tars, Path())
    assert not looked, "shards that have not changed are not looked into again"
    tar_shard(Path("tars/01.tar"), {"new.png": images["000.png"]})
    after = [state_of(image) for image in find_images(tars, Path()).values()]
    assert after[:16] == before[:16]
    assert after[16:] != before[16:]


def test_some_bytes_of_a_server_that_gives_whole_files(
    images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_images(in_tars(images), Path())
    part = found["00.tar/003.png"]
    whole = Path("tars/00.tar").read_bytes()
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.cat_file", lambda *_, **__: whole)
    assert encoded(part) == images["003.png"]


def line_of(source: str) -> str:
    with pytest.raises(DataError) as caught:
        decode_squares(list(find_images(source, Path()).values()), SIDE)
    (line,) = str(caught.value).splitlines()
    return line


def cut_off(path: Path, count: int) -> str:
    path.write_bytes(path.read_bytes()[:-count])
    return str(path)


def renamed(source: str, other: str) -> str:
    shutil.copy(source, other)
    return str(Path(source).parent)


BAD: dict[str, tuple[Callable[[list[bytes]], str], str]] = {
    "a tar cut off in an image": (
        lambda each: cut_off(tar_shard(Path("s.tar"), {"a.png": each[0], "b.png": each[1] * 40}), 12_000),
        "s.tar cannot be read as tar (unexpected end of data)",
    ),
    "a tar without its end": (
        lambda each: (Path("s.tar").write_bytes(tar_shard(Path("t"), {"a.png": bytes(512)}).read_bytes()[:1024]), "s.tar")[1],
        "s.tar is cut off, or damaged after 1,024 bytes",
    ),
    "no tar": (lambda each: (Path("s.tar").write_bytes(each[0]), "s.tar")[1], "s.tar cannot be read as tar"),
    "an empty tar": (lambda _: (Path("s.tar").write_bytes(b""), "s.tar")[1], "s.tar cannot be read as tar (empty file)"),
    "a Parquet file cut off": (lambda each: cut_off(parquet_shard(Path("s.parquet"), each), 9), "s.parquet cannot be read ("),
    "a shard twice in a pattern": (
        lambda each: (tar_shard(Path("s1.tar"), {"a.png": each[0]}), "s{1..1,1}.tar")[1],
        "s{1..1,1}.tar names the shard s1.tar twice",
    ),
    "two shards of the same content": (
        lambda each: renamed(str(tar_shard(Path("d/s.tar"), {"a.png": each[0]})), "d/t.tar"),
        "d/s.tar and d/t.tar have the same content; leave one of the 2 shards out",
    ),
    "a key twice": (
        lambda each: str(tar_shard(Path("s.tar"), {"k.png": each[0], "k.jpg": each[1]})),
        "s.tar holds the key k twice: k.png and k.jpg",
    ),
    "a name twice": (
        lambda each: str(parquet_shard(Path("s.parquet"), each[:2], ["a.png", "a.png"])),
        "s.parquet has two images named a.png",
    ),
    "a tar without images": (lambda _: str(tar_shard(Path("s.tar"), {"a.txt": b"text"})), "s.tar holds no image"),
    "a Parquet file without images": (lambda _: str(parquet_shard(Path("s.parquet"), [])), "s.parquet"),
    "a broken image in a tar": (
        lambda each: str(tar_shard(Path("s.tar"), {"a.png": each[0], "b.png": each[1][:60]})),
        "s.tar/b.png cannot be decoded",
    ),
    "a broken image in Parquet": (
        lambda each: str(parquet_shard(Path("s.parquet"), [each[0], b"none"], ["a.png", "b.png"])),
        "s.parquet/b.png cannot be decoded",
    ),
    "a path alone in Parquet": (
        lambda each: str(parquet_shard(Path("s.parquet"), [each[0], None], ["a.png", "b.png"])),  # pyright: ignore[reportArgumentType]
        "s.parquet/b.png has no bytes",
    ),
    "a member that leads out": (
        lambda each: str(tar_shard(Path("s.tar"), {"../a.png": each[0]})),
        "s.tar holds '../a.png', a path that leads out of it",
    ),
    "a shard that is not there": (
        lambda each: (tar_shard(Path("s0.tar"), {"a.png": each[0]}), "s{0..1}.tar")[1],
        "there is nothing at s1.tar",
    ),
    "a range that falls": (lambda _: "s{3..1}.tar", "{3..1} in s{3..1}.tar is no range"),
    "no shards in a folder": (lambda _: (Path("d").mkdir(), "d")[1], "no image in d; put image files there"),
    "nothing behind an address": (lambda _: "memory://nothing/here", "there is nothing at memory://nothing/here"),
    "an unknown protocol": (lambda _: "gopher://host/pool", "gopher://host/pool cannot be read (Protocol not known: gopher"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_bad_pools_are_one_line(fault: str, images: dict[str, bytes]) -> None:
    make, expected = BAD[fault]
    assert expected in line_of(make(list(images.values())))


def test_an_address_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        msg = "Install s3fs to access S3"
        raise ImportError(msg)

    monkeypatch.setattr(places, "url_to_fs", missing)
    assert line_of("s3://bucket/pool") == (
        "s3://bucket/pool needs a package that is not installed (Install s3fs to access S3); "
        "`uv sync --extra remote` installs those for s3, gs and http"
    )


def test_a_shard_that_is_cut_off_later_is_named(images: dict[str, bytes]) -> None:
    found = find_images(in_tars(images), Path())
    cut_off(Path("tars/01.tar"), 11_000)
    with pytest.raises(DataError, match=r"tars/01.tar has changed, or is cut off"):
        decode_squares(list(found.values()), SIDE)


def test_a_host_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        msg = "Cannot connect to host example.org:80"
        raise ConnectionRefusedError(111, msg)

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.isfile", refused)
    assert "memory://pool cannot be read ([Errno 111] Cannot connect to host" in line_of("memory://pool")


def test_only_shards_that_may_be_the_same_are_read(images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    tar_shard(Path("d/s.tar"), {"a.png": images["000.png"]})
    tar_shard(Path("d/t.tar"), {"b.png": images["001.png"]})
    monkeypatch.setattr(Place, "digest", lambda self: pytest.fail(f"{self.shown} was read"))
    assert len(find_images("d", Path())) == 2


def test_shards_beside_an_image_are_named_and_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "s.tar").write_bytes(b"")
    names = photographs(tmp_path, 1)
    assert list(find_images(str(tmp_path), Path())) == names
    assert "1 shard beside images: not read; give shards in a folder of their own (s.tar)" in caplog.text
