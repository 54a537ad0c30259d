"""Tensors in files: written whole or not at all, and read only where they are what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor

from lossbench.files import part_of

DIGEST = "digest"
"""The entry of a file's metadata that holds the SHA-256 of all else in it."""


class DamagedWeightsError(Exception):
    """A file of tensors is not what was written; the message says how it differs."""


class Weights(NamedTuple):
    """The content of a file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def save_weights(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors beside their place first, with a digest of them and of the metadata, then rename.

    Raises:
        OSError: they could not be written, for instance because the disk is full.
    """
    beside = part_of(path)
    content = _apart({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    described = dict(metadata or {})
    try:
        save_file(content, beside, described | {DIGEST: _digest(content, described)})
        beside.replace(path)
    except SafetensorError as error:
        msg = f"{beside} could not be written: {error}"
        raise OSError(msg) from None
    finally:
        beside.unlink(missing_ok=True)


def read_weights(path: Path, *, digest_required: bool = True) -> Weights:
    """Read a file that `save_weights` wrote.

    Args:
        path: of the file.
        digest_required: whether a file without a digest counts as damaged; those of Lossbench 0.1 have none.

    Raises:
        DamagedWeightsError: it is truncated or changed.
        OSError: it could not be read.
    """
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            tensors, metadata = {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except SafetensorError as error:
        msg = f"it is no file of tensors: {error}"
        raise DamagedWeightsError(msg) from None
    digest = metadata.pop(DIGEST, None)
    if digest is None and digest_required:
        msg = "it has no digest"
        raise DamagedWeightsError(msg)
    if digest is not None and digest != _digest(tensors, metadata):
        msg = "its digest differs from its content"
        raise DamagedWeightsError(msg)
    return Weights(tensors, metadata)


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the file that tensors without metadata make: of names, types, shapes and values."""
    return hashlib.sha256(save(_apart(tensors))).hexdigest()


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with copies of those that share memory with an earlier one, as layers do that have two names."""
    seen: set[int] = set()
    apart = {}
    for name, value in tensors.items():
        shared = value.untyped_storage().data_ptr() in seen
        seen.add(value.untyped_storage().data_ptr())
        apart[name] = value.clone() if shared else value
    return apart


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    described = json.dumps(dict(metadata), sort_keys=True)
    return hashlib.sha256(f"{digest_of(tensors)} {described}".encode()).hexdigest()
