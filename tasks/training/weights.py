"""Weights in files: written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_weights(weights: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors beside their place first, then rename.

    Raises:
        OSError: they could not be written, for instance because the disk is full.
    """
    beside = path.with_suffix(".part")
    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, beside, metadata)
        beside.replace(path)
    except SafetensorError as error:
        msg = f"{beside} could not be written: {error}"
        raise OSError(msg) from None
    finally:
        beside.unlink(missing_ok=True)
