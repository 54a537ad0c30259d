"""SSD's targets, and its loss of every single image (Liu et al. 2016, section 2.2).

Anchors are matched, hard negatives mined and the sum normalized within an image, so that the loss of an image does not
depend on the rest of its batch. Weighted by the numbers of positive anchors, the mean of these losses is mmdet's batch
loss.

Differs from the paper in that an image without objects teaches its three hardest negatives; there its loss is 0.
Differs from the authors' code in that a step takes the plain mean over its images. There the batch's sum is divided by the
batch's number of positive anchors, so that images with many objects weigh more.
"""

from __future__ import annotations

from typing import NamedTuple

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from tasks.images.pixels import on_device
from tasks.models.ssd import SsdRaw

POSITIVE_IOU = 0.5
NEGATIVES_PER_POSITIVE = 3
NEGATIVES_WITHOUT_OBJECT = 3
"""An image without objects counts as if it had one positive: its three hardest anchors, divided by one."""


class BoxTargets(NamedTuple):
    """The objects of a batch, padded to the largest number in one image."""

    boxes: Float[Tensor, "n b 4"]
    """Corners in pixels of the model's input."""
    labels: Int[Tensor, "n b"]
    """Class indices; -1 pads."""


def box_targets(boxes: list[np.ndarray], labels: list[np.ndarray], device: torch.device) -> BoxTargets:
    """The targets of a batch, from each image's boxes (b 4) in pixels and class indices (b,)."""
    return BoxTargets(*(on_device(array, device) for array in pad_objects(boxes, labels)))


def pad_objects(
    boxes: list[np.ndarray], labels: list[np.ndarray], least: int = 0
) -> tuple[Float[np.ndarray, "n b 4"], Int[np.ndarray, "n b"]]:
    """Stack each image's boxes (b 4) and class indices (b,), padded to the largest number in one image, or to `least`."""
    most = max((len(image) for image in labels), default=0)
    most = max(most, least)
    padded_boxes = np.zeros((len(boxes), most, 4), dtype=np.float32)
    padded_labels = np.full((len(boxes), most), -1, dtype=np.int64)
    for row, (image_boxes, image_labels) in enumerate(zip(boxes, labels, strict=True)):
        padded_boxes[row, : len(image_boxes)] = image_boxes
        padded_labels[row, : len(image_labels)] = image_labels
    return padded_boxes, padded_labels


class Matches(NamedTuple):
    """The object that each anchor must predict."""

    positive: Bool[Tensor, "n m"]
    """Whether the anchor must predict an object; all others must predict background."""
    assigned: Int[Tensor, "n m"]
    """The index of a positive anchor's object; of other anchors, that of the object that overlaps most."""


def match(anchors: Float[Tensor, "m 4"], targets: BoxTargets) -> Matches:
    """Match anchors that overlap an object with IoU of at least 0.5, and for each object the anchor that overlaps it most."""
    images, most = targets.labels.shape
    if most == 0:
        zeros = torch.zeros(images, len(anchors), dtype=torch.long, device=anchors.device)
        return Matches(zeros.bool(), zeros)
    overlaps = box_iou(targets.boxes.reshape(-1, 4), anchors).view(images, most, -1)
    overlaps = torch.where((targets.labels >= 0).unsqueeze(2), overlaps, -1.0)
    best, assigned = overlaps.max(1)
    positive = best >= POSITIVE_IOU
    objects = torch.where(targets.labels >= 0, torch.arange(most, device=anchors.device), -1)
    best_anchor_of = torch.full_like(assigned, -1)
    best_anchor_of.scatter_reduce_(1, overlaps.argmax(2), objects, "amax")  # of two objects the later one, as in mmdet
    return Matches(positive | (best_anchor_of >= 0), torch.where(best_anchor_of >= 0, best_anchor_of, assigned))


def ssd_losses(
    raw: SsdRaw, targets: BoxTargets, anchors: Float[Tensor, "m 4"], coder: DeltaXYWHBBoxCoder
) -> Float[Tensor, " n"]:
    """Confidence plus box loss of every image, divided by the number of its positive anchors."""
    matches = match(anchors, targets)
    background = raw.scores.shape[2] - 1
    labels = torch.full_like(matches.assigned, background)
    if targets.labels.shape[1]:
        labels = torch.where(matches.positive, targets.labels.gather(1, matches.assigned), labels)
    confidence = functional.cross_entropy(raw.scores.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
    positives = matches.positive.sum(1)
    negative_sum = hardest_negatives(confidence, matches.positive, positives)
    positive = torch.where(matches.positive, confidence + _box_losses(raw, targets, matches, anchors, coder), 0.0)
    return (positive.sum(1) + negative_sum) / positives.clamp(min=1)


def hardest_negatives(
    confidence: Float[Tensor, "n m"], positive: Bool[Tensor, "n m"], positives: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """The sum of each image's largest losses among negative anchors: three per positive, or a fixed number without any."""
    count = torch.where(positives > 0, NEGATIVES_PER_POSITIVE * positives, NEGATIVES_WITHOUT_OBJECT)
    count = torch.minimum(count, (~positive).sum(1))
    most = (
        int(count.max()) if confidence.device.type == "cpu" else confidence.shape[1]
    )  # another device is not waited for
    largest = confidence.masked_fill(positive, -torch.inf).topk(most, 1).values
    counted = torch.arange(most, device=count.device) < count.unsqueeze(1)
    return torch.where(counted, largest, 0.0).sum(1)


def _box_losses(
    raw: SsdRaw, targets: BoxTargets, matches: Matches, anchors: Float[Tensor, "m 4"], coder: DeltaXYWHBBoxCoder
) -> Float[Tensor, "n m"]:
    """Smooth L1 loss at the positive anchors; elsewhere that of predicting the anchor itself."""
    boxes = anchors.expand(*matches.positive.shape, 4)
    if targets.labels.shape[1]:
        assigned = targets.boxes.gather(1, matches.assigned.unsqueeze(2).expand_as(boxes))
        boxes = torch.where(matches.positive.unsqueeze(2), assigned, boxes)
    return functional.smooth_l1_loss(raw.offsets, _offsets(anchors, boxes, coder), reduction="none").sum(2)


def _offsets(
    anchors: Float[Tensor, "m 4"], boxes: Float[Tensor, "n m 4"], coder: DeltaXYWHBBoxCoder
) -> Float[Tensor, "n m 4"]:
    """What `coder.encode` gives, without the tensors that it makes of its numbers in the processor's memory."""
    sizes, anchor_sizes = (corners[..., 2:] - corners[..., :2] for corners in (boxes, anchors))
    centers, anchor_centers = ((corners[..., :2] + corners[..., 2:]) * 0.5 for corners in (boxes, anchors))
    deltas = torch.cat([(centers - anchor_centers) / anchor_sizes, torch.log(sizes / anchor_sizes)], -1)
    numbers = zip(deltas.unbind(-1), coder.means, coder.stds, strict=True)
    return torch.stack([(delta - mean) / std for delta, mean, std in numbers], -1)
