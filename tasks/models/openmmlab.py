"""Makes mmdet and mmpose importable without compiled mmcv: import this module before either of them.

mmcv-lite has all of mmcv's Python but not the binary `mmcv._ext`, which mmdet asks for on import. A stand-in under that
name gives `nms` through torchvision and refuses anything else when it is called. Where a compiled mmcv is installed,
nothing is replaced. mmpose asks for `xtcocotools`, whose interface is that of pycocotools.
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
    """Indices of the boxes that non-maximum suppression keeps, best first; mmcv's `offset` must be 0."""
    if offset != 0:
        msg = "only offset 0 is supported without compiled mmcv"
        raise NotImplementedError(msg)
    return ops.nms(bboxes, scores, iou_threshold)


class _Extension(ModuleType):
    """Stands in for mmcv's compiled operators."""

    nms = staticmethod(nms)

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> NoReturn:
            msg = f"mmcv's operator {name!r} needs compiled mmcv; models that use it do not run here"
            raise NotImplementedError(msg)

        return missing


def _provide(name: str, module: ModuleType) -> None:
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
if not MMLogger.check_instance_created("mmengine"):  # mmengine's own logger reports every initialised layer
    MMLogger.get_instance("mmengine", log_level=logging.WARNING)
