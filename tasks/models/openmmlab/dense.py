"""Any single-stage detector of mmdet, from its config: the taps are its neck's maps, and its head gives one row per box."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import torch
from jaxtyping import Float
from mmdet.models.dense_heads import YOLOV3Head
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from tasks.base import Features, TapModel
from tasks.errors import DataError, require
from tasks.models.openmmlab.detector_config import config_file, model_config, reads_bgr, trained_whole, without_download
from tasks.models.openmmlab.detector_weights import load_detector, weights_file
from tasks.models.settings import FullSsdSettings

MAPS = 4  # dimensions of a feature map: n c h w
Lists = list[list[Tensor]]
"""The outputs of an mmdet head: of each its maps (n, c, h, w) on all levels."""


class DenseRaw(NamedTuple):
    """The raw output of a dense head, as the head gives it in training: one row per box, level by level."""

    scores: Float[Tensor, "n m k"]
    """Logits of the classes; of heads with softmax also, last, of the background."""
    offsets: Float[Tensor, "n m d"]
    """The box in the head's own form."""
    quality: Float[Tensor, "n m q"]
    """The logit of centerness, objectness or IoU; q is 0 where the head has none."""


class DenseOutput(nn.Module):
    """A dense head of mmdet, whose maps of all levels become rows, and back.

    Some heads (FCOS) give boxes in units of the stride in training, and in pixels else. Rows hold what is given in
    training; their losses are wanted in evaluation, too.

    Args:
        head: of mmdet.
        features: of one image, to see what the head gives.

    Raises:
        DataError: it does not give scores and boxes for the locations of maps.
    """

    def __init__(self, head: nn.Module, features: Features) -> None:
        super().__init__()
        self.dense = head
        with torch.no_grad():
            trained = self._lists(self._as_trained(features))
        self._check(trained)
        self._sides = [tuple(level.shape[2:]) for level in trained[0]]
        boxes = trained[0][0].shape[1] // self._classes  # per location
        self._lengths = [levels[0].shape[1] // boxes for levels in trained]
        self._scales = self._scales_of(features, trained)

    def forward(self, *levels: Tensor) -> DenseRaw:
        """The raw output for the feature maps of all levels."""
        scores, offsets, *quality = (
            torch.cat([level.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, length)) for level in maps], 1)
            for maps, length in zip(self._lists(self._as_trained(levels)), self._lengths, strict=True)
        )
        return DenseRaw(scores, offsets, quality[0] if quality else scores[:, :, :0])

    def lists(self, raw: DenseRaw, *, trained: bool) -> Any:
        """The head's outputs, from rows; `trained`: as it gives them in training."""
        parts = [part for part in raw if part.shape[2]]
        locations = [height * width for height, width in self._sides]
        boxes = raw.scores.shape[1] // sum(locations)
        outputs = []
        for part in parts:
            rows = part.split([count * boxes for count in locations], 1)
            outputs.append(
                [
                    level.reshape(len(level), *side, -1).permute(0, 3, 1, 2)
                    for level, side in zip(rows, self._sides, strict=True)
                ]
            )
        if not trained:
            outputs[1] = [level * scale for level, scale in zip(outputs[1], self._scales, strict=True)]
        return self._joined(*outputs) if self._is_joined else outputs

    @property
    def _is_joined(self) -> bool:
        return isinstance(self.dense, YOLOV3Head)

    @property
    def _classes(self) -> int:
        head: Any = self.dense
        return int(head.num_classes if self._is_joined else head.cls_out_channels)

    def _as_trained(self, features: Features) -> Any:
        """The head's outputs as in training, whatever the mode; its layers keep their modes."""
        before, self.dense.training = self.dense.training, True
        try:
            return self.dense(features)
        finally:
            self.dense.training = before

    def _lists(self, outputs: Any) -> Lists:
        """The head's outputs as scores, boxes and, of some heads, quality. YOLOv3 gives box, objectness and scores in one map."""
        if not self._is_joined:
            return [list(levels) for levels in outputs]
        parts = [level.unflatten(1, (-1, self._classes + 5)) for level in outputs[0]]
        return [[each[:, :, kept].flatten(1, 2) for each in parts] for kept in (slice(5, None), slice(4), slice(4, 5))]

    def _joined(self, scores: list[Tensor], offsets: list[Tensor], quality: list[Tensor]) -> Lists:
        parts = [
            [level.unflatten(1, (-1, length)) for level in levels]
            for levels, length in ((offsets, 4), (quality, 1), (scores, self._classes))
        ]
        return [[torch.cat(level, 2).flatten(1, 2) for level in zip(*parts, strict=True)]]

    def _check(self, outputs: Lists) -> None:
        name = type(self.dense).__name__
        fits = len(outputs) in {2, 3} and all(
            isinstance(level, Tensor) and level.ndim == MAPS for levels in outputs for level in levels
        )
        known = self._is_joined or hasattr(self.dense, "cls_out_channels")
        require(
            fits and known and all(level.shape[1] % self._classes == 0 for level in outputs[0]),
            f"the head {name} does not give scores and a box for each location of its maps",
            "use a detector that does, such as RetinaNet, FCOS, ATSS, GFL, YOLOX or RTMDet",
        )

    def _scales_of(self, features: Features, trained: Lists) -> list[float]:
        """By how much boxes are larger in evaluation, on each level: by 1 or, of all levels, by the stride."""
        mode, self.dense.training = self.dense.training, False
        try:
            with torch.no_grad():
                evaluated = self._lists(self.dense(features))
        finally:
            self.dense.training = mode
        strides: Any = self.dense.prior_generator.strides  # pyright: ignore[reportAttributeAccessIssue]
        for scales in ([1.0] * len(trained[1]), [float(min(stride)) for stride in strides]):
            if all(
                torch.allclose(ours * scale, theirs, rtol=1e-3, atol=1e-5)
                for ours, theirs, scale in zip(trained[1], evaluated[1], scales, strict=True)
            ):
                return scales
        msg = f"the head {type(self.dense).__name__} predicts other boxes in training than in evaluation"
        raise DataError(msg)


class DenseDetector(TapModel):
    """A single-stage detector of mmdet. The maps of its neck are both its taps and its features.

    Args:
        detector: as mmdet builds it.
        pixels: side of the input.
        bgr: whether it reads blue first.
    """

    head: DenseOutput

    def __init__(self, detector: Any, pixels: int, *, bgr: bool) -> None:
        super().__init__()
        self.backbone: nn.Module = detector.backbone
        self.neck: nn.Module = detector.neck if detector.with_neck else nn.Identity()
        self._bgr = bgr
        detector.eval()
        with torch.no_grad():
            images = torch.zeros(1, 3, pixels, pixels)
            last = self.backbone(images)[-1]
            maps, _ = self.trunk(images)
            noise = torch.Generator().manual_seed(0)
            features = tuple(torch.randn(each.shape, generator=noise) for each in maps)
            self.head = DenseOutput(detector.bbox_head, features)
        detector.train()
        sides = [each.shape[2:] for each in maps]
        self.embedded_tap = max((place for place, side in enumerate(sides) if side == last.shape[2:]), default=-1)
        """The tap of the resolution of the backbone's last map."""

    def trunk(self, images: Tensor) -> tuple[tuple[Tensor, ...], Features]:
        """The neck's maps of all levels, as taps and as features."""
        maps = tuple(self.neck(self.backbone(images.flip(1) if self._bgr else images)))
        return maps, maps


def build_dense(settings: FullSsdSettings, classes: int) -> DenseDetector:
    """A detector for this number of classes, initialized by torch's global generator.

    Raises:
        DataError: it is no single-stage detector, needs an operator that is not there, or its weights cannot be had.
    """
    init_default_scope("mmdet")
    config = model_config(settings)
    bgr = reads_bgr(config)
    if not settings.imagenet:
        without_download(config.backbone)
        if settings.weights == "none":
            trained_whole(config.backbone)
    config.bbox_head.num_classes = classes
    config["_scope_"] = "mmdet"
    name = f"{config_file(settings)}: {config.type}"
    with building(name):
        detector: Any = MODELS.build(config)
        head = getattr(detector, "bbox_head", None)
        require(
            isinstance(detector, SingleStageDetector) and isinstance(head, BaseDenseHead),
            f"{name} is no single-stage detector with a dense head: it has {type(head).__name__}",
            "use one such as RetinaNet, FCOS, ATSS, GFL, YOLOX or RTMDet",
        )
        detector.init_weights()
        if file := weights_file(settings):
            neck = detector.neck if detector.with_neck else nn.Identity()
            load_detector(file, detector.backbone, neck, detector.bbox_head)
        return DenseDetector(detector, settings.pixels, bgr=bgr)


@contextmanager
def building(name: str) -> Iterator[None]:
    """Turn what building a model and running it once may raise into a DataError of one line."""
    try:
        yield
    except DataError:
        raise
    except NotImplementedError as error:
        msg = f"{name}: {error}; install it, such as `pip install mmcv==2.1.0` in an environment with a compiler"
        raise DataError(msg) from None
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        msg = f"{name} cannot be built: {' '.join(str(error).split())[:200]}"
        raise DataError(msg) from None
