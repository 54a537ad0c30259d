"""SSD's loss of every single image (Liu et al. 2016, section 2.2).

Anchors are matched, hard negatives mined and the sum normalised inside the image, so that the loss of an image does not
depend on the rest of its batch. Weighted by the numbers of positives, the mean of these losses is mmdet's batch loss.
"""

from __future__ import annotations

from typing import NamedTuple

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import torch
from jaxtyping import Bool, Float, Int
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from tasks.models.ssd import SsdRaw

POSITIVE_IOU = 0.5
NEGATIVES_PER_POSITIVE = 3
NEGATIVES_WITHOUT_OBJECT = 3
"""An image without objects counts as if it had one positive: its three hardest anchors, divided by one."""


class BoxTargets(NamedTuple):
    """Objects of a batch, padded to the most that an image has."""

    boxes: Float[Tensor, "n b 4"]
    """Corners in pixels of the model's input."""
    labels: Int[Tensor, "n b"]
    """Class numbers; -1 pads."""


class Matches(NamedTuple):
    """What each anchor is to predict."""

    positive: Bool[Tensor, "n m"]
    assigned: Int[Tensor, "n m"]
    """Index of the object that a positive anchor is to predict; elsewhere of the one that overlaps most."""


def match(anchors: Float[Tensor, "m 4"], targets: BoxTargets) -> Matches:
    """Anchors with an overlap of at least 0.5, and for every object the anchor that overlaps it most."""
    images, most = targets.labels.shape
    if most == 0:
        nothing = torch.zeros(images, len(anchors), dtype=torch.long, device=anchors.device)
        return Matches(nothing.bool(), nothing)
    overlaps = box_iou(targets.boxes.reshape(-1, 4), anchors).view(images, most, -1)
    overlaps = torch.where((targets.labels >= 0).unsqueeze(2), overlaps, -1.0)
    best, assigned = overlaps.max(1)
    positive = best >= POSITIVE_IOU
    objects = torch.where(targets.labels >= 0, torch.arange(most, device=anchors.device), -1)
    favoring = torch.full_like(assigned, -1)
    favoring.scatter_reduce_(1, overlaps.argmax(2), objects, "amax")  # of two with one favorite, the later, as in mmdet
    return Matches(positive | (favoring >= 0), torch.where(favoring >= 0, favoring, assigned))


def ssd_losses(
    raw: SsdRaw, targets: BoxTargets, anchors: Float[Tensor, "m 4"], coder: DeltaXYWHBBoxCoder
) -> Float[Tensor, " n"]:
    """Confidence plus box loss of every image, over the number of its positive anchors."""
    matches = match(anchors, targets)
    background = raw.scores.shape[2] - 1
    labels = torch.full_like(matches.assigned, background)
    if targets.labels.shape[1]:
        labels = torch.where(matches.positive, targets.labels.gather(1, matches.assigned), labels)
    confidence = functional.cross_entropy(raw.scores.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
    positives = matches.positive.sum(1)
    negatives = hardest(confidence, matches.positive, positives)
    positive = torch.where(matches.positive, confidence + _box_losses(raw, targets, matches, anchors, coder), 0.0)
    return (positive.sum(1) + negatives) / positives.clamp(min=1)


def hardest(
    confidence: Float[Tensor, "n m"], positive: Bool[Tensor, "n m"], positives: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Sum of the largest losses among each image's negatives: three per positive, or a fixed number without any."""
    wanted = torch.where(positives > 0, NEGATIVES_PER_POSITIVE * positives, NEGATIVES_WITHOUT_OBJECT)
    wanted = torch.minimum(wanted, (~positive).sum(1))
    most = int(wanted.max())
    largest = confidence.masked_fill(positive, -torch.inf).topk(most, 1).values
    counted = torch.arange(most, device=wanted.device) < wanted.unsqueeze(1)
    return torch.where(counted, largest, 0.0).sum(1)


def _box_losses(
    raw: SsdRaw, targets: BoxTargets, matches: Matches, anchors: Float[Tensor, "m 4"], coder: DeltaXYWHBBoxCoder
) -> Float[Tensor, "n m"]:
    """Smooth L1 at the positive anchors, 0 elsewhere."""
    result = raw.offsets.new_zeros(matches.positive.shape)
    images, rows = matches.positive.nonzero(as_tuple=True)
    if len(images) == 0:
        return result
    boxes = targets.boxes[images, matches.assigned[images, rows]]
    wanted = coder.encode(anchors[rows], boxes)
    found = functional.smooth_l1_loss(raw.offsets[images, rows], wanted, reduction="none").sum(1)
    return result.index_put((images, rows), found)
