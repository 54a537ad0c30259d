"""CIFAR-10 in a few files of half its size, for a machine that gets only what is carried to it.

The pixels are kept as strips of lossless WebP, and all else byte by byte, so that what is unpacked is what was packed:

    python examples/pack_cifar10.py pack --data DIR --out PARTS --parts 3
    python examples/pack_cifar10.py unpack --data DIR PARTS/*.zip

Every part holds whole files, and can be unpacked without the others.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from PIL import Image

from tasks.datasets.classes.cifar import FOLDER, SHAPE, checked_contents, official_digests, unpickled

STRIP_IMAGES = 500
"""A strip is 16,000 pixels long; WebP allows 16,383."""
PIXEL_BYTES = int(np.prod(SHAPE))


def pack(folder: Path, out: Path, parts: int) -> list[Path]:
    """Write the official files as so many zip files, and return their paths.

    Args:
        folder: holds the official files.
        out: is made where it is missing.
        parts: how many; six batches of equal size are divided among them.
    """
    out.mkdir(parents=True, exist_ok=True)
    contents = checked_contents(folder, official_digests())
    paths = []
    for number, names in enumerate(np.array_split(np.array(sorted(contents)), parts), start=1):
        paths.append(out / f"cifar10-part-{number}.zip")
        with ZipFile(paths[-1], "w", ZIP_DEFLATED) as archive:
            for name in names.tolist():
                pixels = unpickled(contents[name]).get("data")
                for entry, data in entries(contents[name], pixels):
                    archive.writestr(f"{name}/{entry}", data)
    return paths


def entries(content: bytes, pixels: np.ndarray | None) -> Iterator[tuple[str, bytes]]:
    """A file as named pieces: the bytes before and after its pixels, and the pixels in strips.

    Args:
        content: of the file.
        pixels: of shape (images, 3072), which lie in the content as they are; None where there are none.

    Raises:
        ValueError: they do not lie in the content.
    """
    if pixels is None:
        yield "head", content
        return
    start = content.index(pixels.tobytes())
    yield "head", content[:start]
    for number, strip in enumerate(np.array_split(pixels, -(-len(pixels) // STRIP_IMAGES))):
        tall = strip.reshape(-1, *SHAPE).transpose(0, 2, 3, 1).reshape(-1, SHAPE[2], SHAPE[0])
        data = io.BytesIO()
        Image.fromarray(tall).save(data, "webp", lossless=True, quality=80, method=4)
        yield f"{number:03}.webp", data.getvalue()
    yield "tail", content[start + pixels.nbytes :]


def restored(pieces: dict[str, bytes]) -> bytes:
    """The content of a file from its pieces."""
    strips = [_pixels(pieces[name]) for name in sorted(pieces) if name.endswith(".webp")]
    return pieces["head"] + b"".join(strips) + pieces.get("tail", b"")


def _pixels(data: bytes) -> bytes:
    tall = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return tall.reshape(-1, *SHAPE[1:], SHAPE[0]).transpose(0, 3, 1, 2).tobytes()


def unpack(parts: Sequence[Path], folder: Path) -> list[str]:
    """Restore the files that some parts hold, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for part in parts:
        with ZipFile(part) as archive:
            pieces: dict[str, dict[str, bytes]] = {}
            for entry in archive.namelist():
                name, _, piece = entry.partition("/")
                pieces.setdefault(name, {})[piece] = archive.read(entry)
        for name, content in pieces.items():
            (folder / name).write_bytes(restored(content))
            names.append(name)
    return names


def main() -> None:
    """Pack or unpack, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("files", nargs="*", type=Path, metavar="PART")
    parser.add_argument("--data", type=Path, required=True, help=f"holds {FOLDER}")
    parser.add_argument("--out", type=Path, default=Path("parts"))
    parser.add_argument("--parts", type=int, default=2)
    options = parser.parse_args()
    if options.action == "pack":
        for path in pack(options.data / FOLDER, options.out, options.parts):
            print(path, f"{path.stat().st_size / 2**20:.1f} MiB")
    else:
        print(*unpack(options.files, options.data / FOLDER))


if __name__ == "__main__":
    main()
