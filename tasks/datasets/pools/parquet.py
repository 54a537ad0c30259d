"""Parquet files with a column of encoded images: plain bytes, or Hugging Face's form with the fields `bytes` and `path`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from threading import Lock
from typing import Any

from tasks.datasets.pools.places import Place, reading
from tasks.errors import require
from tasks.images.files import EncodedImage

IMAGE_COLUMNS = ("image", "img")
"""Which of several columns of bytes is meant."""
NAME_COLUMNS = ("path", "file", "file_name", "filename", "image_path", "name", "__key__", "key", "id")
"""Of names, where the column of images has none; the first of them counts."""
BYTES, PATH = "bytes", "path"
STARTS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"RI": ".webp"}
"""How images of each form begin."""
GROUPS_IN_MEMORY = 2
"""Images are read a row group at a time."""
_one_reader = Lock()


@dataclass(frozen=True, slots=True)
class Cell(EncodedImage):
    """An image in a row of a Parquet file."""

    place: Place
    name: str
    column: str
    """Of the bytes; of a field of a column `COLUMN.bytes`."""
    group: int
    row: int
    """In its row group."""

    def __str__(self) -> str:
        return f"{self.place.shown}/{self.name}"

    @property
    def state(self) -> str:
        """The file's, and which row of it."""
        return f"{self.place.state}\0{self.column} {self.group} {self.row}"

    def read(self) -> bytes:
        """The encoded bytes."""
        with _one_reader:  # decoding threads want the same row group at the same time
            found = _row_group(self.place, self.column, self.group)
        content = found[self.row].as_py()
        require(content is not None, f"{self} has no bytes", "write the images into the file, not their paths alone")
        return content


def parquet_images(place: Place) -> dict[str, EncodedImage]:
    """The images of a file by their names, or by the numbers of their rows where it has none.

    Raises:
        DataError: it cannot be read or is cut off, has no column of images or several, or a name twice.
    """
    with _opened(place) as file:
        bytes_column, name_column = _columns(place, file.schema_arrow)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        names = _names(file, name_column, bytes_column, sum(sizes))
    rows = ((group, row) for group, size in enumerate(sizes) for row in range(size))
    images: dict[str, EncodedImage] = {}
    for name, (group, row) in zip(names, rows, strict=True):
        require(name not in images, f"{place.shown} has two images named {name}", "give each a name of its own")
        images[name] = Cell(place, name, bytes_column, group, row)
    return images


def _columns(place: Place, schema: Any) -> tuple[str, str | None]:
    """The column of bytes and the one of names."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    def is_bytes(kind: Any) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind)

    found: dict[str, str] = {}
    for column in schema:
        if is_bytes(column.type):
            found[column.name] = column.name
        elif types.is_struct(column.type) and any(each.name == BYTES and is_bytes(each.type) for each in column.type):
            found[column.name] = f"{column.name}.{BYTES}"
    require(
        found, f"{place.shown} has no column of images", f"it has {', '.join(schema.names)}; one of bytes is wanted"
    )
    chosen = next((name for name in IMAGE_COLUMNS if name in found), next(iter(found)))
    several = f"{place.shown} has several columns of bytes: {', '.join(found)}"
    require(len(found) == 1 or chosen in IMAGE_COLUMNS, several, f"name the one of images {IMAGE_COLUMNS[0]}")
    if found[chosen] != chosen and any(each.name == PATH for each in schema.field(chosen).type):
        return found[chosen], f"{chosen}.{PATH}"
    return found[chosen], next((name for name in NAME_COLUMNS if name in schema.names and name != chosen), None)


def _names(file: Any, column: str | None, images: str, count: int) -> list[str]:
    found: list[Any] = []
    if column is not None:
        found = _flat(file.read(columns=[column]).column(0)).to_pylist()
    if not found or None in found:
        width, first = (
            len(str(max(count - 1, 0))),
            _flat(file.read_row_group(0, columns=[images]).column(0)) if count else [],
        )
        start = (first[0].as_py() or b"")[:2] if count else b""
        found = [f"{row:0{width}}{STARTS.get(start, '')}" for row in range(count)]
    return [str(name).replace("\\", "/").lstrip("/") for name in found]


@lru_cache(maxsize=GROUPS_IN_MEMORY)
def _row_group(place: Place, column: str, group: int) -> Any:
    """The bytes of the images of a row group."""
    with _opened(place) as file:
        return _flat(file.read_row_group(group, columns=[column]).column(0))


def _flat(column: Any) -> Any:
    """A column, or the only field that was read of it."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    found = column.combine_chunks()
    return found.field(0) if types.is_struct(found.type) else found


@contextmanager
def _opened(place: Place) -> Iterator[Any]:
    advice = "`uv sync --extra parquet` installs it"
    require(find_spec("pyarrow"), f"{place.shown}: Parquet files need pyarrow, which is not installed", advice)
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - an extra

    with reading(place.shown), place.open() as file:
        yield ParquetFile(file)
