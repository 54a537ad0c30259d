"""Shards of small photographs: tar and Parquet files with the images of a folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet


def tar_shard(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar file of these members, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


def parquet_shard(
    path: Path, images: Sequence[bytes], names: Sequence[str | None] | None = None, rows: int = 4
) -> Path:
    """A Parquet file in Hugging Face's form, or of plain bytes where no names are given; with row groups of some rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    column = (
        list(images)
        if names is None
        else [dict(zip(("bytes", "path"), each, strict=True)) for each in zip(images, names, strict=True)]
    )
    parquet.write_table(pa.table({"image": column, "label": list(range(len(images)))}), path, row_group_size=rows)
    return path


def sharded(folder: Path, out: Path, per_shard: int = 16) -> list[Path]:
    """Tar shards `NN.tar` of the images of a folder, each with a text beside it."""
    paths = sorted(folder.glob("*.png"))
    shards = []
    for number, start in enumerate(range(0, len(paths), per_shard)):
        members = {}
        for path in paths[start : start + per_shard]:
            members |= {path.name: path.read_bytes(), f"{path.stem}.txt": b"a text"}
        shards.append(tar_shard(out / f"{number:02}.tar", members))
    return shards
