"""SSD's head on a trunk of a library or of a user, which is trained or frozen."""

from __future__ import annotations

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import torch
from jaxtyping import Float
from mmdet.models.dense_heads import SSDHead
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from tasks.base import Features, TapModel
from tasks.models.neck import MapNeck, Shapes
from tasks.models.settings import TrunkDetectorSettings
from tasks.models.ssd import SsdOutput


class TrunkSsd(TapModel):
    """An SSD on any trunk. Its taps are the trunk's; its features are the neck's maps.

    Args:
        backbone: gives taps and maps; of a frozen trunk it reads them from rows of the store.
        shapes: of these maps.
        settings: of the neck and the anchors.
        classes: how many.
    """

    head: SsdOutput
    embedded_tap = -1

    def __init__(self, backbone: nn.Module, shapes: Shapes, settings: TrunkDetectorSettings, classes: int) -> None:
        super().__init__()
        self._shapes = shapes
        self.backbone = backbone
        self.neck = MapNeck(shapes, settings.channels, settings.extra_levels)
        self.head = SsdOutput(ssd_head(settings, [max(map_.shape[2:]) for map_ in self._levels()], classes))

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The trunk's taps, and the neck's maps."""
        taps, maps = self.backbone(images)
        return taps, self.neck(maps)

    def anchors(self, pixels: int) -> Float[Tensor, "m 4"]:  # noqa: ARG002 - as of `Ssd`
        """The corners of all anchors, in the order of the raw output."""
        sizes = [map_.shape[2:] for map_ in self._levels()]
        return torch.cat(self.head.ssd.prior_generator.grid_priors(sizes, device="cpu"))

    @torch.no_grad()
    def _levels(self) -> Features:
        """The neck's maps of one image without content, on the CPU."""
        training = self.neck.training
        maps = self.neck.eval()(tuple(torch.zeros(1, *shape) for shape in self._shapes))
        self.neck.train(training)
        return maps


def ssd_head(settings: TrunkDetectorSettings, sides: list[int], classes: int) -> SSDHead:
    """Mmdet's head, for maps of these sides."""
    init_default_scope("mmdet")
    pixels, levels = settings.pixels, len(sides)
    head = SSDHead(
        num_classes=classes,
        in_channels=(settings.channels,) * levels,
        anchor_generator={
            "type": "SSDAnchorGenerator",
            "scale_major": False,
            "strides": [pixels / side for side in sides],
            "ratios": [list(settings.ratios)] * levels,
            "min_sizes": [size * pixels for size in settings.sizes[:-1]],
            "max_sizes": [size * pixels for size in settings.sizes[1:]],
        },
        bbox_coder={"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": [0.1, 0.1, 0.2, 0.2]},
        test_cfg=ConfigDict({"nms": {"type": "nms", "iou_threshold": 0.45}, "score_thr": 0.02, "max_per_img": 200}),
    )
    head.init_weights()
    head.loss_cls = None  # SSDHead never sets this, but its predict reads it
    return head
