"""SSD's loss: mmdet's, image by image, and who is matched."""

from __future__ import annotations

import math

import tasks.models.openmmlab  # noqa: F401 - before mmdet is imported

# isort: split
import pytest
import torch
from mmdet.models.task_modules import PseudoSampler
from mmdet.registry import TASK_UTILS
from mmengine.config import Config
from mmengine.structures import InstanceData
from ssd_examples import CLASSES, CROWDED, SCENES, outputs, targets
from torch import Tensor
from torchvision.ops import box_iou

from tasks.detection.losses import NEGATIVES_WITHOUT_OBJECT, BoxTargets, match, ssd_losses
from tasks.models.openmmlab.detector_config import SHIPPED
from tasks.models.ssd import Ssd, SsdRaw


def test_weighted_by_positives_the_losses_are_mmdets_batch_loss(ssd: Ssd, anchors: Tensor) -> None:
    head = ssd.head.ssd
    head.train_cfg = Config.fromfile(SHIPPED / "pascal_voc/ssd300_voc0712.py").model.train_cfg
    head.assigner, head.sampler = TASK_UTILS.build(head.train_cfg.assigner), PseudoSampler()
    scenes = [*SCENES, []]
    scores, offsets, raw = outputs(ssd, len(scenes))
    wanted = targets(*scenes)
    instances = [
        InstanceData(bboxes=boxes[labels >= 0], labels=labels[labels >= 0])
        for boxes, labels in zip(*wanted, strict=True)
    ]
    shape = {"pad_shape": (64, 64), "img_shape": (64, 64)}
    theirs = head.loss_by_feat(scores, offsets, instances, [shape] * len(scenes))
    expected = sum(part.item() for parts in theirs.values() for part in parts)
    positives = match(anchors, wanted).positive.sum(1)
    losses = ssd_losses(raw, wanted, anchors, head.bbox_coder)
    assert positives.min() == 0
    assert positives.max() > 4
    # mmdet mines no negatives in an image without objects, but counts it as one positive in the divisor.
    divisor = positives.clamp(min=1).sum()
    assert ((losses * positives).sum() / divisor).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_an_image_ignores_the_batch_and_its_padding(ssd: Ssd, anchors: Tensor) -> None:
    raw, coder = outputs(ssd, 4)[2], ssd.head.ssd.bbox_coder
    scenes = [*SCENES, []]
    together = ssd_losses(raw, targets(*scenes), anchors, coder)
    for image, scene in enumerate(scenes):
        one = SsdRaw(*(part[image : image + 1] for part in raw))
        alone = ssd_losses(one, targets(scene), anchors, coder)
        assert alone.item() == pytest.approx(together[image].item(), rel=1e-5)
        boxes, labels = targets(scene)
        more = BoxTargets(torch.cat([boxes, torch.zeros(1, 5, 4)], 1), torch.cat([labels, torch.full((1, 5), -1)], 1))
        assert ssd_losses(one, more, anchors, coder).item() == pytest.approx(alone.item(), rel=1e-5)
    assert len(together.unique()) == 4


def test_losses_carry_gradients_to_scores_and_offsets(ssd: Ssd, anchors: Tensor) -> None:
    raw = SsdRaw(*(part.clone().requires_grad_() for part in outputs(ssd, 3)[2]))
    losses = ssd_losses(raw, targets(*SCENES), anchors, ssd.head.ssd.bbox_coder)
    losses[1].backward()
    assert raw.scores.grad[1].any()
    assert raw.offsets.grad[1].any()
    assert not raw.scores.grad[[0, 2]].any()
    assert not raw.offsets.grad[[0, 2]].any()


def test_an_image_without_objects_has_a_fixed_number_of_negatives(ssd: Ssd, anchors: Tensor) -> None:
    raw = SsdRaw(torch.zeros(2, len(anchors), CLASSES + 1), torch.full((2, len(anchors), 4), 9.0))
    raw.scores[1, :3, CLASSES] = -torch.tensor([5.0, 7.0, 9.0])  # the three hardest
    losses = ssd_losses(raw, targets([], []), anchors, ssd.head.ssd.bbox_coder)
    by_hand = sum(math.log(CLASSES + math.exp(-each)) + each for each in (5, 7, 9))
    assert losses.tolist() == pytest.approx([NEGATIVES_WITHOUT_OBJECT * math.log(CLASSES + 1), by_hand], rel=1e-5)


def test_three_negatives_count_for_every_positive(ssd: Ssd, anchors: Tensor) -> None:
    # All logits equal: each of p positives and 3p negatives loses ln 4, over p; perfect offsets add nothing.
    wanted = targets(CROWDED)
    matches = match(anchors, wanted)
    boxes = wanted.boxes[0, matches.assigned[0]]
    raw = SsdRaw(torch.zeros(1, len(anchors), CLASSES + 1), ssd.head.ssd.bbox_coder.encode(anchors, boxes)[None])
    by_hand, coder = 4 * math.log(CLASSES + 1), ssd.head.ssd.bbox_coder
    assert ssd_losses(raw, wanted, anchors, coder).item() == pytest.approx(by_hand, rel=1e-5)
    off = SsdRaw(raw.scores, raw.offsets + 3)  # smooth L1 of 3 is 2.5, four coordinates
    assert ssd_losses(off, wanted, anchors, coder).item() == pytest.approx(by_hand + 10, rel=1e-5)


def test_of_two_objects_with_one_favorite_the_later_gets_it() -> None:
    three = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 4, 4]])
    # Both overlap the first anchor most, and less than 0.5: only as a favorite is it matched.
    found = match(three, targets([(0, 0, 10, 4, 0), (0, 6, 10, 10, 1)]))
    assert found.positive[0].tolist() == [True, False, False]
    assert found.assigned[0, 0].item() == 1
    assert match(three, targets([(0, 6, 10, 10, 1), (0, 0, 10, 4, 0)])).assigned[0, 0].item() == 1


def test_every_object_has_an_anchor_and_good_overlaps_match(anchors: Tensor) -> None:
    wanted = targets(CROWDED)
    found = match(anchors, wanted)
    overlaps = box_iou(wanted.boxes[0], anchors)
    assert found.positive[0][overlaps.max(0).values >= 0.5].all()
    assert found.positive[0, overlaps.argmax(1)].all()
    assert overlaps[3].max() < 0.5  # the small one is matched by its favorite only
    assert (found.assigned[0][found.positive[0]] == 3).sum() == 1
