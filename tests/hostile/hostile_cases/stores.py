"""Caches and trained models: what can befall their files. They are made again, and never believed or unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

MARKER = "pickle-ran"
"""A file that the malicious pickle makes in the working directory."""


class _Malicious:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (MARKER, "w"))


def _part(content: bytes, start: int, size: int) -> bytes:
    return content[:start] + bytes(min(size, len(content) - start)) + content[start + size :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut at its end": lambda content: content[:-1],
    "longer": lambda content: content + bytes(16),
    "zeroed": lambda content: bytes(len(content)),
    "zeroed in the middle": lambda content: _part(content, len(content) // 2, 4000),
    "zeroed at its end": lambda content: _part(content, len(content) - len(content) // 8, 4000),
    "one bit flipped": lambda content: _flipped(content, len(content) - 40),
    "garbage": lambda content: bytes(range(256)) * (len(content) // 256 + 1),
    "text": lambda content: b"not what it was",
    "a pickle": lambda content: pickle.dumps(_Malicious()),
}
PLACES = {"a model": "models/*.safetensors", "metrics": "models/*.json", "scenes": "cache/scenes-*/*.np*"}


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def damage(out: Path, pattern: str, change: Callable[[bytes], bytes]) -> list[Path]:
    """Damage the first file of a pattern; gives the files that it had found."""
    found = sorted(out.glob(pattern))
    found[0].write_bytes(change(found[0].read_bytes()))
    return found
