"""Makes mmdet and mmpose importable without compiled mmcv. Import this module before either of them.

mmcv-lite has all of mmcv's Python code but not the binary module `mmcv._ext`, which mmdet imports. This module registers
a replacement under that name: its `nms` is torchvision's, and every other operator raises an error when it is called. If
a compiled mmcv is installed, nothing is replaced. mmpose imports `xtcocotools`, whose interface is that of pycocotools.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

from mmengine.logging import MMLogger
from torch import Tensor
from torchvision import ops


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that non-maximum suppression keeps, highest score first. mmcv's `offset` must be 0."""
    if offset != 0:
        msg = "only offset 0 is supported without compiled mmcv"
        raise NotImplementedError(msg)
    return ops.nms(bboxes, scores, iou_threshold)


class _Extension(ModuleType):
    """Replaces mmcv's compiled operators."""

    nms = staticmethod(nms)

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> NoReturn:
            msg = f"mmcv's operator {name!r} needs compiled mmcv, which is not installed; models that use it cannot run"
            raise NotImplementedError(msg)

        return missing


def _provide(name: str, module: ModuleType) -> None:
    """Register a module under a name, unless a module of this name is installed."""
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        module.__spec__ = ModuleSpec(name, loader=None)
        sys.modules[name] = module


def _alias_xtcocotools() -> None:
    if importlib.util.find_spec("xtcocotools") is not None:
        return
    import pycocotools  # noqa: PLC0415 - only where the alias is needed
    from pycocotools import coco, cocoeval, mask  # noqa: PLC0415

    sys.modules["xtcocotools"] = pycocotools
    for module in (coco, cocoeval, mask):
        sys.modules[module.__name__.replace("pycocotools", "xtcocotools")] = module


_provide("mmcv._ext", _Extension("mmcv._ext"))
_alias_xtcocotools()
if not MMLogger.check_instance_created("mmengine"):  # mmengine's default logger reports every initialized layer
    MMLogger.get_instance("mmengine", log_level=logging.WARNING)
