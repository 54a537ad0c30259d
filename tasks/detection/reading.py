"""What the raw outputs of detectors mean: distributions, losses of single images, boxes and detections."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import torch
from jaxtyping import Float, Int
from mmdet.models.layers import multiclass_nms
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional

from tasks.detection.losses import BoxTargets, ssd_losses
from tasks.errors import require
from tasks.models.factories.detectors import Detector
from tasks.models.openmmlab.dense import DenseDetector, DenseRaw, building
from tasks.models.ssd import Ssd, SsdRaw
from tasks.models.trunks.ssd import TrunkSsd

DetectorRaw = SsdRaw | DenseRaw
R = TypeVar("R", SsdRaw, DenseRaw)
SURE = 1e-12
"""The least -log p of a class, so that log(1 - p) is finite."""
HIGHEST_LOGIT = 8.0
"""Of the scores that mark rows, see `DenseReading.boxes`: beyond it neighboring numbers have one sigmoid in fp32."""


class Found(NamedTuple):
    """The detections in one image."""

    boxes: Float[Tensor, "b 4"]
    """Corners in pixels of the model's input."""
    scores: Float[Tensor, " b"]
    labels: Int[Tensor, " b"]


class Reading(ABC, Generic[R]):
    """The meaning of one detector's raw output."""

    vectorized: ClassVar[bool]
    """Whether the losses of a batch are computed together, in tensors whose shapes depend on no value."""

    @abstractmethod
    def log_probs(self, raw: R) -> Float[Tensor, "n m k"]:
        """One distribution per row, over the classes and, last, the background; differentiable."""

    @abstractmethod
    def losses(self, raw: R, targets: BoxTargets) -> Float[Tensor, " n"]:
        """The training loss of each image."""

    @abstractmethod
    def boxes(self, raw: R) -> Float[Tensor, "n m 4"]:
        """The corners that each row predicts, in pixels of the model's input."""

    @abstractmethod
    def detections(self, raw: R, min_score: float | None) -> list[Found]:
        """Each image's detections after non-maximum suppression.

        Args:
            raw: the raw output.
            min_score: detections with a lower score are left out; by default the threshold of the model's config.
        """


class SsdReading(Reading[SsdRaw]):
    """SSD's: softmax over classes and background, and the vectorized loss of `ssd_losses`."""

    vectorized = True

    def __init__(self, model: Ssd | TrunkSsd, size: int, device: torch.device) -> None:
        self.anchors = model.anchors(size).to(device)
        self.coder = model.head.ssd.bbox_coder
        self._test: Any = model.head.ssd.test_cfg
        self._size = size

    def log_probs(self, raw: SsdRaw) -> Float[Tensor, "n m k"]:
        """The logarithm of the softmax."""
        return functional.log_softmax(raw.scores, 2)

    def losses(self, raw: SsdRaw, targets: BoxTargets) -> Float[Tensor, " n"]:
        """Confidence plus box loss; anchors are matched and hard negatives mined within each image."""
        return ssd_losses(raw, targets, self.anchors, self.coder)

    def boxes(self, raw: SsdRaw) -> Float[Tensor, "n m 4"]:
        """The corners that each anchor predicts."""
        images, rows = raw.offsets.shape[:2]
        anchors = self.anchors.repeat(images, 1)
        corners = self.coder.decode(anchors, raw.offsets.flatten(0, 1), max_shape=(self._size, self._size))
        return corners.view(images, rows, 4)

    def detections(self, raw: SsdRaw, min_score: float | None) -> list[Found]:
        """Suppression within each class."""
        min_score = float(self._test.score_thr) if min_score is None else min_score
        found = []
        for boxes, scores in zip(self.boxes(raw), raw.scores.softmax(2), strict=True):
            kept, labels, *_ = multiclass_nms(boxes, scores, min_score, dict(self._test.nms), self._test.max_per_img)
            found.append(Found(kept[:, :4], kept[:, 4], labels))
        return found


class DenseReading(Reading[DenseRaw]):
    """That of any dense head of mmdet, by the head's own `loss_by_feat` and `predict_by_feat`.

    A head with sigmoid scores judges each class alone. With p the probability of each class, the background has the
    product of all 1 - p, and the row is divided by its sum. Where the head has one more output per location, p is the
    class's score times its sigmoid, the score by which the head ranks its boxes: an objectness (YOLOX) is the probability of
    any object, on which the class's is conditioned; a centerness (FCOS, ATSS) or IoU (PAA) is no probability of a class, but
    classes are trained as high at an object's border as in its middle, where the box is right.
    """

    vectorized = False

    def __init__(self, model: DenseDetector, size: int, device: torch.device) -> None:
        self._output = model.head.to(device)
        self._head: Any = model.head.dense
        self._meta = {
            "img_shape": (size, size), "pad_shape": (size, size), "batch_input_shape": (size, size),
            "ori_shape": (size, size), "scale_factor": (1.0, 1.0),
        }  # fmt: skip
        self._check(model, device)

    def _check(self, model: DenseDetector, device: torch.device) -> None:
        """Raise a DataError if the head cannot be read: an image with an object, and one without, are tried."""
        name, size = type(self._head).__name__, self._meta["img_shape"][0]
        object_ = torch.tensor([[[0.2, 0.2, 0.7, 0.7]]] * 2, device=device) * size
        with building(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch speaks of meshgrid's arguments once
            with torch.no_grad():
                maps, _ = model.to(device).eval().trunk(torch.zeros(2, 3, size, size, device=device))
                raw = self._output(*maps)
                rows = self.boxes(raw).shape[1]
            losses = self.losses(raw, BoxTargets(object_, torch.tensor([[0], [-1]], device=device)))
        require(rows == raw.scores.shape[1], f"the head {name} gives {rows} boxes for {raw.scores.shape[1]} rows")
        require(
            not losses.requires_grad, f"the loss of the head {name} has weights of its own, which no raw output carries"
        )

    def log_probs(self, raw: DenseRaw) -> Float[Tensor, "n m k"]:
        """The logarithm of the classes' probabilities and, last, the background's."""
        if not getattr(self._head, "use_sigmoid_cls", True):  # YOLOv3's does not say it
            return functional.log_softmax(raw.scores, 2)
        present = functional.logsigmoid(raw.scores)
        if raw.quality.shape[2]:
            present = present + functional.logsigmoid(raw.quality)
        absent = torch.log(-torch.expm1(present.clamp(max=-SURE)))
        return functional.log_softmax(torch.cat([present, absent.sum(2, keepdim=True)], 2), 2)

    def losses(self, raw: DenseRaw, targets: BoxTargets) -> Float[Tensor, " n"]:
        """The sum of the head's losses, image by image."""
        lists, losses = self._output.lists(raw, trained=True), []
        for image, (boxes, labels) in enumerate(zip(targets.boxes, targets.labels, strict=True)):
            objects = InstanceData(bboxes=boxes[labels >= 0], labels=labels[labels >= 0])
            one = [[level[image : image + 1] for level in levels] for levels in lists]
            parts = self._head.loss_by_feat(*one, [objects], [self._meta])
            losses.append(sum(_total(part) for name, part in parts.items() if "loss" in name))
        return torch.stack(losses)

    def boxes(self, raw: DenseRaw) -> Float[Tensor, "n m 4"]:
        """The corners of each row, from the head's `predict_by_feat` under scores that fall from row to row.

        The head returns its boxes by falling score within each level, so that those of all rows come back in order.
        """
        images, rows, classes = raw.scores.shape
        scores = raw.scores.new_full((images, rows, classes), -100.0)
        scores[:, :, 0] = torch.linspace(HIGHEST_LOGIT, -HIGHEST_LOGIT, rows, device=scores.device)
        marked = DenseRaw(scores, raw.offsets, torch.full_like(raw.quality, 100.0))
        config = {"score_thr": 1e-6, "nms_pre": rows, "min_bbox_size": -1, "max_per_img": rows}
        return torch.stack([image.bboxes for image in self._predicted(marked, config, with_nms=False)])

    def detections(self, raw: DenseRaw, min_score: float | None) -> list[Found]:
        """The head's own, with the suppression of its config."""
        changes = {} if min_score is None else {"score_thr": min_score}
        predicted = self._predicted(raw, changes, with_nms=True)
        return [Found(image.bboxes, image.scores, image.labels) for image in predicted]

    def _predicted(self, raw: DenseRaw, changes: Mapping[str, object], *, with_nms: bool) -> list[Any]:
        config = self._head.test_cfg.copy()
        config.update(changes)
        metas = [self._meta] * len(raw.scores)
        lists = self._output.lists(raw, trained=False)
        return self._head.predict_by_feat(*lists, batch_img_metas=metas, cfg=config, rescale=False, with_nms=with_nms)


def reading(model: Detector, size: int, device: torch.device) -> Reading[Any]:
    """The meaning of a model's output on inputs with sides of `size` pixels. A `DenseDetector` is not to be trained afterwards."""
    if isinstance(model, DenseDetector):
        return DenseReading(model, size, device)
    with building(f"{type(model).__name__} at {size} pixels"):
        return SsdReading(model, size, device)


def _total(part: Tensor | list[Tensor]) -> Tensor:
    """A loss, or the sum of its levels."""
    return torch.stack([each.sum() for each in part]).sum() if isinstance(part, list | tuple) else part.sum()
