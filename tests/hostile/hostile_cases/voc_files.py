"""A data set in VOC's form: lists, annotations and images."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hostile_cases.case import RUN, Case
from hostile_cases.protocols import DETECTION, SWEEP, short
from hostile_cases.toml_text import changed, document

SOURCE = {"validation": 0, "classes": ["car", "cat"], "pool": ["2007/trainval"], "test": ["2007/test"]}
PROTOCOL = document(changed(changed(DETECTION, "task.data", SOURCE), "budget", {"initial": 4, "step": 2, "rounds": 2}))
WIDTH, HEIGHT = 40, 30
ROOT = "data/VOCdevkit/VOC2007"
POOL, TEST = tuple(f"a{number}" for number in range(8)), ("b0", "b1")
BOX = {"xmin": "5", "ymin": "6", "xmax": "20", "ymax": "25"}
OBJECT = {"name": "car", "difficult": "0", "bndbox": BOX}
Annotation = dict[str, object]


def picture(width: int = WIDTH, height: int = HEIGHT, form: str = "JPEG", mode: str = "RGB") -> bytes:
    """An encoded image of noise."""
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(content, form)
    return content.getvalue()


JPEG = picture()


def xml(table: Annotation, tag: str = "annotation") -> str:
    """A table as XML; a list repeats its element."""
    inner = ""
    for name, value in table.items():
        for each in value if isinstance(value, list) else [value]:
            inner += xml(each, name) if isinstance(each, dict) else f"<{name}>{each}</{name}>"
    return f"<{tag}>{inner}</{tag}>"


def annotation(**changes: object) -> Annotation:
    """A valid annotation, but for these fields."""
    return {"size": {"width": str(WIDTH), "height": str(HEIGHT), "depth": "3"}, "object": [OBJECT]} | changes


def devkit(folder: Path, replaced: dict[str, str | bytes | None]) -> None:
    """A valid data set, but for these files; None leaves one out."""
    contents: dict[str, str | bytes | None] = {
        "tasks/tiny.toml": PROTOCOL,
        "sweeps/tiny.toml": SWEEP,
        f"{ROOT}/ImageSets/Main/trainval.txt": "".join(f"{name}\n" for name in POOL),
        f"{ROOT}/ImageSets/Main/test.txt": "".join(f"{name}\n" for name in TEST),
    }
    for name in (*POOL, *TEST):
        first = name in {POOL[0], TEST[0]}
        contents[f"{ROOT}/Annotations/{name}.xml"] = xml(
            annotation(object=[OBJECT | {"name": "cat"}] if first else [OBJECT])
        )
        contents[f"{ROOT}/JPEGImages/{name}.jpg"] = JPEG
    for path, content in (contents | replaced).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            place.write_bytes(content if isinstance(content, bytes) else content.encode())


def replacing(path: str, content: str | bytes | None) -> Callable[[Path], object]:
    """Makes a data set in which one file is another."""
    return lambda folder: devkit(folder, {f"{ROOT}/{path}": content})


def case(name: str, path: str, content: str | bytes | None, *wanted: str) -> Case:
    """A run on a data set in which one file is another."""
    return Case(f"VOC {name}", replacing(path, content), RUN, wanted)


def annotations() -> Iterator[Case]:
    """Annotation files: their fields and their form."""
    path, named = "Annotations/a3.xml", "a3."
    for side, values in (
        ("xmin", ("", "left", "nan", "inf", "-3", "0", "41", "1e400", "٣x")),
        ("ymin", ("", "-1", "31", "nan", "26")),
        ("xmax", ("", "4", "41", "1e9", "inf", "-inf")),
        ("ymax", ("", "5", "31", "nan", "right")),
    ):
        for value in values:
            changed_box = OBJECT | {"bndbox": BOX | {side: value}}
            yield case(f"{side} = {value}", path, xml(annotation(object=[changed_box])), named)
    for side, value in (("width", "0"), ("width", "41"), ("width", "wide"), ("width", "-40"), ("width", "40.5")):
        size = {"width": str(WIDTH), "height": str(HEIGHT)} | {side: value}
        yield case(f"{side} = {value}", path, xml(annotation(size=size)), named)
    for value in ("0", "29", "31", "", "9" * 5000):
        yield case(f"height = {value:.9}", path, xml(annotation(size={"width": WIDTH, "height": value})), named)
    for name, fields in (
        ("without size", {"size": {}}),
        ("with two sizes", {"size": [{"width": WIDTH, "height": HEIGHT}, {"width": 1, "height": 1}]}),
        ("without a box", {"object": [{"name": "car", "difficult": "0"}]}),
        ("with half a box", {"object": [OBJECT | {"bndbox": {"xmin": "1", "ymin": "2"}}]}),
        ("with two boxes in an object", {"object": [OBJECT | {"bndbox": [BOX, BOX]}]}),
        ("without a name", {"object": [{"difficult": "0", "bndbox": BOX}]}),
        ("with an empty name", {"object": [OBJECT | {"name": ""}]}),
        ("with two names", {"object": [OBJECT | {"name": ["car", "cat"]}]}),
        ("difficult = maybe", {"object": [OBJECT | {"difficult": "maybe"}]}),
        ("difficult = 2", {"object": [OBJECT | {"difficult": "2"}]}),
        ("difficult = empty", {"object": [OBJECT | {"difficult": ""}]}),
    ):
        yield case(f"annotation {name}", path, xml(annotation(**fields)), named)
    valid = xml(annotation())
    for name, text in (
        ("empty", ""),
        ("cut", valid[: len(valid) // 2]),
        ("binary", bytes(range(256))),
        ("JSON", "{}"),
        ("of another root", valid.replace("annotation", "html")),
        ("in an unknown encoding", f"<?xml version='1.0' encoding='no-such'?>{valid}"),
        ("with NUL", valid.replace("car", "c\0ar")),
        ("with an unknown entity", valid.replace("car", "&car;")),
        ("with a billion laughs", _laughs(valid)),
        ("with an external entity", _external(valid)),
        ("two roots", valid * 2),
        ("zeros", bytes(4096)),
        ("missing", None),
    ):
        yield case(f"annotation {name}", path, text, named)


def _laughs(valid: str) -> str:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE a [<!ENTITY l0 "ha">{levels}]>{valid.replace("car", "&l9;")}'


def _external(valid: str) -> str:
    return f'<!DOCTYPE a [<!ENTITY file SYSTEM "file:///etc/hostname">]>{valid.replace("car", "&file;")}'


def lists() -> Iterator[Case]:
    """Lists of images."""
    path = "ImageSets/Main/trainval.txt"
    whole = "".join(f"{name}\n" for name in POOL)
    for name, text, wanted in (
        ("empty", "", ("trainval",)),
        ("blank", "\n \n", ("trainval",)),
        ("missing", None, ("trainval",)),
        ("of an image twice", whole + "a3\n", ("a3",)),
        ("of an image that is not there", whole + "a99\n", ("a99",)),
        ("of a test image", whole + "b0\n", ("b0",)),
        ("with a path", whole + "../Annotations/a3\n", ()),
        ("with an absolute path", whole + "/etc/hostname\n", ()),
        ("with NUL", whole + "a\0b\n", ()),
        ("in UTF-16", whole.encode("utf-16"), ("trainval",)),
        ("in Latin-1", whole.encode() + b"caf\xe9\n", ("trainval",)),
        ("binary", bytes(range(256)), ("trainval",)),
        ("with a long name", whole + "a" * 5000 + "\n", ()),
        ("with a column of other flags", "".join(f"{name} 2\n" for name in POOL), ()),
        ("of too few images", "a0\na1\n", ()),
    ):
        yield case(f"list {name}", path, text, *wanted)
    yield case("test list empty", "ImageSets/Main/test.txt", "", "test")
    yield case("test list missing", "ImageSets/Main/test.txt", None, "test")


def pictures() -> Iterator[Case]:
    """Images."""
    path, named = "JPEGImages/a3.jpg", "a3"
    broken = bytearray(JPEG)
    broken[2:40] = bytes(38)
    for name, content in (
        ("empty", b""),
        ("cut", JPEG[: len(JPEG) // 2]),
        ("cut in its head", JPEG[:20]),
        ("with a broken head", bytes(broken)),
        ("text", b"not an image"),
        ("zeros", bytes(4096)),
        ("of another size", picture(80, 60)),
        ("one pixel", picture(1, 1)),
        ("a bomb", _bomb()),
        ("a PNG of another size", picture(8, 8, "PNG")),
        ("a cut PNG", picture(form="PNG")[:100]),
        ("a cut BMP", picture(form="BMP")[:100]),
        ("a GIF of another size", picture(8, 8, "GIF", "P")),
        ("a PDF", b"%PDF-1.7\n"),
        ("missing", None),
    ):
        yield case(f"image {name}", path, content, named)


def _bomb() -> bytes:
    """A PNG of 0.5 MB with 60,000 x 60,000 black pixels, put together from equal compressed parts: Pillow would take 3.6 GB."""
    side, parts = 60_000, 600
    length = side // parts * (1 + side // 8)  # of a part: rows of a filter byte and a bit per pixel, all zero
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    part = packer.compress(bytes(length)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = parts * length % 65_521 << 16 | 1  # Adler-32 of zeros
    pixels = b"\x78\x9c" + part * parts + packer.flush() + struct.pack(">I", checksum)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    )


def settings() -> Iterator[Case]:
    """Protocols that do not fit the data."""
    for field, value, wanted in (
        ("pool", ["2007/no-such"], "no-such"),
        ("pool", ["1999/trainval"], "1999"),
        ("pool", ["2007"], "pool"),
        ("pool", ["2007/../Main/trainval"], ""),
        ("pool", ["2007/test"], ""),
        ("test", ["2007/trainval"], ""),
        ("validation", 8, "validation"),
        ("classes", ["no-such-class"], "no-such-class"),
    ):
        text = document(changed(changed(DETECTION, "task.data", SOURCE), f"task.data.{field}", value))
        make = lambda folder, text=text: devkit(folder, {"tasks/tiny.toml": text})  # noqa: E731 - a case is data
        yield Case(f"VOC with {field} = {short(value)}", make, RUN, (wanted,))


CASES = (*annotations(), *lists(), *pictures(), *settings())
