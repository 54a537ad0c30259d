"""Detection: mmdet's loss image by image, VOC's and COCO's metrics by hand, boxes there and back, files refused."""

from __future__ import annotations

import math
import multiprocessing.dummy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tasks.models.openmmlab  # noqa: F401 - before mmdet is imported

# isort: split
import mmdet.evaluation.functional.mean_ap as mmdet_map
import numpy as np
import pytest
import torch
from mmdet.models.task_modules import PseudoSampler
from mmdet.registry import TASK_UTILS
from mmengine.config import Config
from mmengine.structures import InstanceData
from perfect_detections import perfect
from PIL import Image
from torch import Tensor
from torchvision.models import VGG16_Weights
from torchvision.ops import box_iou
from trained_margins import SSD300

from lossbench.submissions.conformance import tiny_protocol
from tasks.base import DataError
from tasks.datasets.voc import Objects, fingerprint, load_split, read_objects
from tasks.detection.losses import NEGATIVES_WITHOUT_OBJECT, BoxTargets, box_targets, match, ssd_losses
from tasks.detection.metrics import Detections, coco_precision, voc_precision
from tasks.detection.settings import DetectionData, DetectionSettings, RowSettings
from tasks.detection.task import DetectionTask, UnlabeledDetection
from tasks.images.pixels import Colors, Pixels
from tasks.kinds import build_task
from tasks.models import openmmlab
from tasks.models.settings import FullSsdSettings, SmallSsdSettings
from tasks.models.ssd import SHIPPED, Ssd, SsdRaw, build_ssd, input_colors
from tasks.settings import SceneSettings

CPU = torch.device("cpu")
SMALL = SmallSsdSettings(kind="resnet18", width=4, pixels=64)
CLASSES = 3
RECIPE = {"epochs": 1, "batch": 4, "optimizer": "adamw", "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def ssd() -> Ssd:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_ssd(SMALL, CLASSES).eval()


@pytest.fixture(scope="module")
def anchors(ssd: Ssd) -> Tensor:
    return ssd.anchors(64)


@pytest.fixture(scope="module")
def task(tiny_task: Callable[[str], DetectionTask]) -> DetectionTask:
    return tiny_task("detection")


def reader(ssd: Ssd, **rows: Any) -> UnlabeledDetection:
    return UnlabeledDetection(Pixels(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), 64), ssd, RowSettings(**rows))


def outputs(ssd: Ssd, count: int) -> tuple[list[Tensor], list[Tensor], SsdRaw]:
    """Random predictions as mmdet's maps and as our rows."""
    generator = torch.Generator().manual_seed(count)
    sides = [tap.shape[1:] for tap in ssd(torch.zeros(1, 3, 64, 64)).taps]
    sources = tuple(torch.randn(count, *shape, generator=generator) for shape in sides)
    with torch.no_grad():
        return *ssd.head.ssd(sources), ssd.head(*sources)


def targets(*images: list[tuple[float, float, float, float, int]]) -> BoxTargets:
    boxes = [np.array([each[:4] for each in image], dtype=np.float32).reshape(-1, 4) for image in images]
    return box_targets(boxes, [np.array([each[4] for each in image], dtype=np.int64) for image in images], CPU)


CROWDED = [(2, 2, 30, 28, 0), (3, 3, 31, 29, 1), (40, 35, 60, 62, 2), (10, 40, 14, 44, 1)]
SCENES = [CROWDED, [(0, 0, 64, 64, 2)], [(20, 10, 40, 50, 1), (5, 5, 25, 60, 0)]]


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


def test_what_is_encoded_is_decoded(ssd: Ssd) -> None:
    some = reader(ssd)
    wanted = targets(*SCENES)
    raw = perfect(some, wanted, CLASSES)
    boxes, spoken = some.boxes(raw), raw.scores[:, :, -1] == 0
    for image, scene in enumerate(SCENES):
        found = sorted(boxes[image][spoken[image]].round(decimals=2).tolist())
        assert found == pytest.approx(np.array(sorted([list(each[:4]) for each in scene])), abs=0.02)


def test_ground_truth_as_raw_output_has_full_precision(task: DetectionTask) -> None:
    ids = np.array([image for image in task.test_ids if not task.annotations[image].difficult.all()])
    raw = perfect(task.unlabeled, task.targets(ids), len(task.group_names))
    found = task.metrics(iter([SsdRaw(*(part[:9] for part in raw)), SsdRaw(*(part[9:] for part in raw))]), ids)
    assert found["mAP"] == pytest.approx(1.0)
    assert found["mAP_area"] == pytest.approx(1.0)
    assert found["COCO_AP"] > 0.99
    assert found["weight_on_objects"] == pytest.approx(1.0, abs=1e-5)
    shifted = task.metrics(iter([SsdRaw(*(part.roll(1, 0) for part in raw))]), ids)
    assert shifted["mAP"] < 0.3


def test_weight_on_objects_is_a_share(task: DetectionTask) -> None:
    ids = task.test_ids[:6]
    raw = perfect(task.unlabeled, task.targets(ids), len(task.group_names))
    nothing = SsdRaw(torch.zeros_like(raw.scores), raw.offsets)
    share = task.metrics(iter([nothing]), ids)["weight_on_objects"]  # some anchors, all alike
    assert 0 < share < 0.3


def test_difficult_objects_are_no_targets(task: DetectionTask) -> None:
    counts = [int((~each.difficult).sum()) for each in task.annotations]
    assert sum(each.difficult.sum() for each in task.annotations) > 0
    everything = task.targets(np.arange(len(task.annotations)))
    assert (everything.labels >= 0).sum(1).tolist() == counts


def test_the_boxes_of_targets_are_those_of_their_labels(tmp_path: Path) -> None:
    mixed = xml(element(difficult="1"), element("cat", (51, 41, 100, 80)))
    devkit(tmp_path, {"a": mixed}, {"e": xml(element(), element())})
    targets = built(tmp_path).targets(np.arange(2))
    assert targets.labels.tolist() == [[0, -1], [1, 1]]
    assert targets.boxes[0, 0].tolist() == pytest.approx([32, 32, 64, 64])


LOGITS = torch.log(torch.tensor([[0.1, 0.3, 0.6], [0.6, 0.3, 0.1], [0.01, 0.01, 0.98], [0.2, 0.4, 0.4]]))


def said(ssd: Ssd, logits: Tensor, **rows: Any) -> Any:
    return reader(ssd, **rows).posteriors(SsdRaw(logits, torch.zeros(*logits.shape[:2], 4)))


def test_weights_are_the_probability_of_an_object(ssd: Ssd) -> None:
    found = said(ssd, LOGITS[None], most=200, threshold=0.05)
    assert found.weight[0].tolist() == pytest.approx([0.4 / 1.9, 0.9 / 1.9, 0, 0.6 / 1.9])
    assert found.log_probs[0].exp().flatten().tolist() == pytest.approx(LOGITS.exp().flatten().tolist())
    assert found.context[0].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.7, [0, 1, 0, 0]), (0.6, [0, 0.9 / 1.5, 0, 0.6 / 1.5]), (0, [0.4 / 1.92, 0.9 / 1.92, 0.02 / 1.92, 0.6 / 1.92])],
)
def test_rows_must_be_nearly_as_likely_as_the_likeliest(ssd: Ssd, threshold: float, expected: list[float]) -> None:
    assert said(ssd, LOGITS[None], threshold=threshold).weight[0].tolist() == pytest.approx(expected)
    # The same rows, each a thousand times less likely to be an object: the model is sure of nothing.
    doubtful = LOGITS.exp() * torch.tensor([1e-3, 1e-3, 1.0])
    doubtful[:, 2] = 1 - doubtful[:, :2].sum(1)
    weight = said(ssd, doubtful.log()[None], threshold=threshold).weight[0]
    assert weight.tolist() == pytest.approx(expected, rel=1e-3)


def test_at_most_so_many_rows_have_weight(ssd: Ssd) -> None:
    weight = said(ssd, LOGITS[None], most=2, threshold=0.0).weight[0]
    assert weight.tolist() == pytest.approx([0, 0.9 / 1.5, 0, 0.6 / 1.5])
    tied = torch.zeros(3, 50, CLASSES + 1)
    weight = said(ssd, tied, most=7).weight
    assert (weight > 0).sum(1).tolist() == [7, 7, 7]
    assert weight.sum(1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("certainty", [20.0, 90.0, 1000.0])
def test_weights_are_finite_where_nothing_is_seen(ssd: Ssd, certainty: float) -> None:
    logits = torch.zeros(1, 6, CLASSES + 1)
    logits[:, :, -1] = certainty
    logits[0, 4, -1] -= 1
    weight = said(ssd, logits, threshold=0.7).weight[0]
    assert weight.tolist() == pytest.approx([0, 0, 0, 0, 1, 0])
    assert said(ssd, logits, threshold=0.0).weight.sum().item() == pytest.approx(1)


def test_posteriors_are_differentiable(ssd: Ssd) -> None:
    logits = LOGITS[None].clone().requires_grad_()
    found = said(ssd, logits)
    found.pooled(found.log_probs[:, :, 0]).sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1].any()


def test_pseudo_targets_are_what_is_likelier_than_not(ssd: Ssd) -> None:
    some = reader(ssd)
    raw = perfect(some, targets(*SCENES), CLASSES)
    raw.scores[1] = torch.tensor([0.0, 0.0, 0.4, 0.5])  # nobody's object
    pseudo = some.pseudo_targets(raw)
    assert sorted(pseudo.labels[0].tolist()) == [0, 1, 1, 2]
    assert pseudo.labels[1].tolist() == [-1] * 4
    found = {tuple(box.round().tolist()) for box in pseudo.boxes[2][pseudo.labels[2] >= 0]}
    assert found == {(20, 10, 40, 50), (5, 5, 25, 60)}


def test_suppression_is_class_by_class_at_045(ssd: Ssd) -> None:
    some = reader(ssd)
    wanted = targets([(2, 2, 30, 30, 0), (2, 2, 30, 28, 0), (2, 2, 30, 30, 1), (2, 22, 30, 50, 0)])
    (found,) = some.detections(perfect(some, wanted, CLASSES))
    assert sorted(found.labels.tolist()) == [0, 0, 1]


def test_groups_are_the_easy_classes_present(task: DetectionTask) -> None:
    ids = np.arange(30)
    for image, row in zip(ids, task.groups(ids, ids), strict=True):
        entry = task.annotations[image]
        assert set(row.nonzero().flatten().tolist()) == set(entry.labels[~entry.difficult].tolist())


def objects(*rows: tuple[float, float, float, float, int, bool]) -> Objects:
    boxes = np.array([row[:4] for row in rows], dtype=np.float32).reshape(-1, 4) / 100
    return Objects(
        boxes, np.array([row[4] for row in rows], np.int64), np.array([row[5] for row in rows], bool), 100, 100
    )


def found_as(*rows: tuple[float, float, float, float, int, float]) -> Detections:
    boxes = np.array([row[:4] for row in rows], dtype=np.float32).reshape(-1, 4) / 100
    labels, scores = (np.array([row[column] for row in rows]) for column in (4, 5))
    return Detections(boxes, scores.astype(np.float32), labels.astype(np.int64))


ONE, OTHER, AWAY = (10, 10, 40, 40), (50, 50, 90, 90), (60, 5, 80, 25)


def test_average_precision_by_hand() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, False))]
    found = [found_as((*ONE, 0, 0.9), (*AWAY, 0, 0.8), (*OTHER, 0, 0.7))]
    # Precision 1 up to recall 1/2 (six of eleven points), then 2/3.
    assert voc_precision(found, truth, 1) == pytest.approx({"mAP": (6 + 5 * 2 / 3) / 11, "mAP_area": 0.5 + 0.5 * 2 / 3})
    missed = [found_as((*ONE, 0, 0.9))]
    assert voc_precision(missed, truth, 1) == pytest.approx({"mAP": 6 / 11, "mAP_area": 0.5})


def test_a_second_detection_of_an_object_is_a_false_alarm() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, False))]
    found = [found_as((*ONE, 0, 0.9), (11, 11, 40, 40, 0, 0.8), (*OTHER, 0, 0.7))]
    assert voc_precision(found, truth, 1)["mAP_area"] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_a_difficult_object_is_neither_a_miss_nor_an_alarm() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, True))]
    with_it = [found_as((*OTHER, 0, 0.9), (51, 51, 90, 90, 0, 0.85), (*ONE, 0, 0.8))]
    without = [found_as((*ONE, 0, 0.8))]
    assert voc_precision(with_it, truth, 1) == voc_precision(without, truth, 1) == {"mAP": 1.0, "mAP_area": 1.0}
    assert voc_precision(with_it, [objects((*ONE, 0, False))], 1)["mAP_area"] == pytest.approx(1 / 3)


def test_half_an_overlap_decides() -> None:
    truth = [objects((0, 0, 50, 50, 0, False))]
    assert voc_precision([found_as((0, 0, 50, 26, 0, 0.9))], truth, 1)["mAP"] == 1
    assert voc_precision([found_as((0, 0, 50, 24, 0, 0.9))], truth, 1)["mAP"] == 0


def test_overlaps_are_those_of_the_original_shape() -> None:
    wide = objects((0, 0, 50, 50, 0, False))._replace(width=200, height=50)
    assert voc_precision([found_as((0, 0, 50, 50, 0, 0.9))], [wide], 1)["mAP"] == 1
    assert coco_precision([found_as((0, 0, 50, 50, 0, 0.9))], [wide], 1) == pytest.approx(1)


def test_classes_count_alike_and_absent_ones_do_not() -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 0, False), (*AWAY, 2, False), (*ONE, 3, True))]
    found = [found_as((*ONE, 0, 0.9), (*OTHER, 0, 0.9), (*OTHER, 1, 0.9), (*OTHER, 3, 0.9))]
    assert voc_precision(found, truth, 5) == {"mAP": 0.5, "mAP_area": 0.5}  # classes 0 and 2
    assert voc_precision([found_as()], [objects()], 5) == {"mAP": 0.0, "mAP_area": 0.0}


def random_images(seed: int, count: int) -> tuple[list[Detections], list[Objects]]:
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(count):
        most = random.integers(0, 5)
        corner, sides = random.uniform(0, 60, (most, 2)), random.uniform(10, 40, (most, 2))
        boxes, labels = np.concatenate([corner, corner + sides], 1), random.integers(0, 3, most)
        truth.append(objects(*(zip(*boxes.T, labels, random.random(most) < 0.3, strict=True))))
        strays = random.uniform(0, 60, (3, 4)) + np.array([0, 0, 40, 40])
        again = np.concatenate([boxes, boxes, strays])
        again = again + random.normal(0, 2, again.shape)
        guessed = np.concatenate([labels, labels, random.integers(0, 3, 3)])
        found.append(found_as(*zip(*again.T, guessed, random.random(len(again)), strict=True)))
    return found, truth


@pytest.mark.parametrize(("name", "mode"), [("mAP", "11points"), ("mAP_area", "area")])
@pytest.mark.parametrize("seed", range(8))
def test_precision_equals_mmdets(monkeypatch: pytest.MonkeyPatch, name: str, mode: str, seed: int) -> None:
    monkeypatch.setattr(mmdet_map, "Pool", multiprocessing.dummy.Pool)
    found, truth = random_images(seed, 25)
    rows = [np.column_stack([each.boxes * 100, each.scores]).astype(np.float32) for each in found]
    results = [[row[each.labels == label] for label in range(3)] for row, each in zip(rows, found, strict=True)]
    annotations = [
        {
            "bboxes": each.boxes[~each.difficult] * 100,
            "labels": each.labels[~each.difficult],
            "bboxes_ignore": each.boxes[each.difficult] * 100,
            "labels_ignore": each.labels[each.difficult],
        }
        for each in truth
    ]
    expected, _ = mmdet_map.eval_map(results, annotations, iou_thr=0.5, logger="silent", nproc=1, eval_mode=mode)
    assert 0.2 < expected < 0.95
    assert voc_precision(found, truth, 3)[name] == pytest.approx(expected, abs=1e-6)


def test_coco_precision_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    truth = [objects((*ONE, 0, False), (*OTHER, 1, False)), objects(), objects((*AWAY, 1, False))]
    right = [found_as((*ONE, 0, 0.9), (*OTHER, 1, 0.9)), found_as(), found_as((*AWAY, 1, 0.3))]
    assert coco_precision(right, truth, 2) == pytest.approx(1)
    assert coco_precision([found_as()], truth[:1], 2) == 0
    assert coco_precision([found_as((*ONE, 0, 0.9))], [objects()], 2) == 0
    # An overlap of 0.62 passes the thresholds 0.5, 0.55 and 0.6 of ten.
    square = [objects((0, 0, 50, 50, 0, False))]
    assert coco_precision([found_as((0, 0, 50, 31, 0, 0.9))], square, 1) == pytest.approx(0.3)
    hard = [objects((*ONE, 0, False), (*OTHER, 0, True))]
    assert coco_precision([found_as((*OTHER, 0, 0.95), (*ONE, 0, 0.9))], hard, 1) == pytest.approx(1)
    assert capsys.readouterr().out == ""


def element(name: str = "car", box: tuple[object, ...] = (11, 21, 50, 60), difficult: str = "0") -> str:
    sides = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox></object>"


def xml(*elements: str, width: int = 100, height: int = 80) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{size}{''.join(elements)}</annotation>"


def read(tmp_path: Path, text: str | bytes, classes: tuple[str, ...] = ("cat", "car")) -> Objects:
    path = tmp_path / "000001.xml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_objects(path, classes)


def test_coordinates_start_at_one_and_include_the_last_pixel(tmp_path: Path) -> None:
    found = read(tmp_path, xml(element(), element("cat", (1, 1, 100, 80), "1")))
    assert found.boxes[0] == pytest.approx(np.array([0.1, 0.25, 0.5, 0.75]))
    assert found.boxes[1].tolist() == [0, 0, 1, 1]
    assert found.labels.tolist() == [1, 0]
    assert found.difficult.tolist() == [False, True]
    assert (found.width, found.height) == (100, 80)


def test_other_classes_are_background(tmp_path: Path) -> None:
    found = read(tmp_path, xml(element("dog"), element("car"), element("dog", (0, 0, 999, 999))))
    assert found.labels.tolist() == [1]
    assert read(tmp_path, xml(element("dog"))).boxes.shape == (0, 4)
    assert read(tmp_path, xml()).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (xml(element(box=(0, 1, 50, 60))), r"box xmin=0 ymin=1 xmax=50 ymax=60 lies outside its image of 100x80"),
        (xml(element(box=(1, 1, 101, 60))), "lies outside"),
        (xml(element(box=(1, 1, 50, 81))), "lies outside"),
        (xml(element(box=("nan", 1, 50, 60))), "lies outside"),
        (xml(element(box=(50, 1, 49, 60))), "has no area"),
        (xml(element(box=(50, 40, 60, 30))), "has no area"),
        (xml(element(box=("left", 1, 2, 3))), "not four numbers"),
        (xml(element().replace("<ymin>21</ymin>", "")), "not four numbers"),
        (xml(element())[:-9], "is not a VOC annotation"),
        ("", "is not a VOC annotation"),
        (b"\xff\xd8\xff\x00garbage", "is not a VOC annotation"),
        ("<annotation></annotation>", "is not a VOC annotation"),
        (xml(element(), width=0), "lies outside"),
    ],
)
def test_what_is_wrong_with_an_annotation_is_said(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(DataError, match=f"000001.xml.*{reason}"):
        read(tmp_path, text)


def test_a_missing_annotation_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not found: .*gone.xml"):
        read_objects(tmp_path / "gone.xml", ("car",))


def devkit(root: Path, pool: dict[str, str], test: dict[str, str]) -> Path:
    """A VOCdevkit with a square image for every annotation."""
    folder = root / "VOCdevkit/VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for listed, entries in (("trainval", pool), ("test", test)):
        (folder / f"ImageSets/Main/{listed}.txt").write_text("".join(f"{name}\n" for name in entries))
        for name, text in entries.items():
            (folder / f"Annotations/{name}.xml").write_text(text)
            noise = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"JPEGImages/{name}.jpg")
    return folder


def built(root: Path, **data: Any) -> DetectionTask:
    source = {"validation": 0, "classes": ["cat", "car"]} | data
    given = {"kind": "detection", "data": source, "model": SMALL.model_dump(), "recipe": RECIPE}
    return build_task(DetectionSettings.model_validate(given), root, root, CPU)


POOL = {"a": xml(element()), "b": xml(element("dog")), "c": xml(element(difficult="1")), "d": xml(element("cat"))}
TEST = {"e": xml(element("cat"), element())}


def test_voc_is_read_in_the_order_of_its_lists(tmp_path: Path) -> None:
    devkit(tmp_path, POOL, TEST)
    task = built(tmp_path)
    assert (task.pool_size, task.test_size, task.group_names) == (4, 1, ("cat", "car"))
    assert [each.labels.tolist() for each in task.annotations] == [[1], [], [1], [0], [0, 1]]
    assert task.groups(np.arange(5), np.arange(1)).int().tolist() == [[0, 1], [0, 0], [0, 0], [1, 0], [1, 1]]
    targets = task.targets(np.arange(5))
    assert (targets.labels >= 0).sum(1).tolist() == [1, 0, 0, 1, 2]
    assert targets.boxes[0, 0].tolist() == pytest.approx([6.4, 16, 32, 48])  # squeezed to 64 pixels
    raw = task.build_model().eval()(task.unlabeled.images(np.arange(5))).raw
    losses = task.unlabeled.losses(raw, targets)
    assert losses.isfinite().all()
    assert losses.min() > 0


def test_images_without_an_easy_object_can_be_left_out(tmp_path: Path) -> None:
    devkit(tmp_path, POOL, TEST)
    split = load_split(tmp_path / "VOCdevkit", ["2007/trainval", "2007/test"], ("cat", "car"), need_object=True)
    assert [file.stem for file in split.files] == ["a", "d", "e"]
    subset = load_split(tmp_path / "VOCdevkit", ["2007/trainval"], ("cat",), need_object=True)
    assert [file.stem for file in subset.files] == ["d"]
    assert fingerprint(split) != fingerprint(subset)


def test_the_fingerprint_reads_every_label(tmp_path: Path) -> None:
    prints = set()
    for text in (xml(element()), xml(element("cat")), xml(element(difficult="1")), xml(element(box=(11, 21, 50, 61)))):
        devkit(tmp_path, {"a": text}, TEST)
        split = load_split(tmp_path / "VOCdevkit", ["2007/trainval"], ("cat", "car"), need_object=False)
        prints.add(fingerprint(split))
    assert len(prints) == 4


def test_one_image_in_pool_and_test_is_refused(tmp_path: Path) -> None:
    devkit(tmp_path, POOL, TEST | {"d": POOL["d"]})
    with pytest.raises(DataError, match=r"d.jpg is in both the pool and the test lists"):
        built(tmp_path)


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        ("JPEGImages/b.jpg", "an image of VOC not found: .*b.jpg"),
        ("Annotations/c.xml", "an annotation of VOC not found: .*c.xml"),
        ("ImageSets/Main/test.txt", "the list 2007/test not found"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, gone: str, reason: str) -> None:
    (devkit(tmp_path, POOL, TEST) / gone).unlink()
    with pytest.raises(DataError, match=reason):
        built(tmp_path)


def test_an_empty_list_and_a_missing_year_are_refused(tmp_path: Path) -> None:
    devkit(tmp_path, {}, TEST)
    with pytest.raises(DataError, match=r"trainval.txt names no image"):
        built(tmp_path)
    with pytest.raises(DataError, match=r"VOC 2012 not found: .*--data DIR"):
        built(tmp_path, pool=["2012/trainval"])


def test_damaged_images_are_named(tmp_path: Path) -> None:
    image = devkit(tmp_path, POOL, TEST) / "JPEGImages/c.jpg"
    whole = image.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no image"):
        image.write_bytes(content)
        with pytest.raises(DataError, match=r"c.jpg cannot be decoded"):
            built(tmp_path)


def test_boxes_move_with_what_they_surround(tmp_path: Path) -> None:
    folder = devkit(tmp_path, {"a": xml(element(box=(31, 25, 70, 64)))}, TEST)
    picture = np.full((80, 100, 3), (124, 116, 104), np.uint8)
    picture[24:64, 30:70] = 255
    Image.fromarray(picture).save(folder / "JPEGImages/a.jpg", quality=100, subsampling=0)
    task = built(tmp_path)
    images, targets = task.augmented(np.zeros(60, dtype=np.int64), np.random.default_rng(0))
    assert (targets.labels[:, 0] == 1).all()
    checked = 0
    for image, box in zip(images, targets.boxes[:, 0], strict=True):
        green = image[1]
        bright = green > (green.min() + green.max()) / 2
        if green.max() - green.min() < 0.3 or bright[0].all():
            continue  # all is object
        rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert [int(each) for each in seen] == pytest.approx(box.tolist(), abs=1.6)
        checked += 1
    assert checked > 40


def test_augmented_boxes_lie_in_the_image_and_have_area(task: DetectionTask) -> None:
    ids = np.arange(60)
    images, targets = task.augmented(ids, np.random.default_rng(0))
    boxes = targets.boxes[targets.labels >= 0]
    assert images.shape == (60, 3, 64, 64)
    assert boxes.min() >= 0
    assert boxes.max() <= 64
    assert ((boxes[:, 2:] - boxes[:, :2]) > 0).all()
    assert len(boxes) > 60


def test_a_batch_without_any_object_can_be_augmented(tmp_path: Path) -> None:
    devkit(tmp_path, {"b": POOL["b"], "c": POOL["c"]}, TEST)
    task = built(tmp_path)
    images, targets = task.augmented(np.arange(2), np.random.default_rng(0))
    assert targets.boxes.shape == (2, 0, 4)
    assert task.unlabeled.losses(task.build_model().eval()(images).raw, targets).isfinite().all()


def test_the_small_ssd(ssd: Ssd, anchors: Tensor) -> None:
    with torch.no_grad():
        found = ssd(torch.zeros(2, 3, 64, 64))
        again = ssd.head(*found.features)
    assert [tuple(tap.shape[1:]) for tap in found.taps] == [(8, 8, 8), (16, 4, 4), (32, 2, 2), (64, 1, 1)]
    assert torch.equal(again.scores, found.raw.scores)
    assert torch.equal(again.offsets, found.raw.offsets)
    assert found.raw.scores.shape == (2, len(anchors), CLASSES + 1)
    assert torch.equal(reader(ssd).embed(found), found.features[2].mean((2, 3)))


def test_rows_are_in_the_order_of_anchors(ssd: Ssd, anchors: Tensor) -> None:
    """A prediction at one place of one map must stand at that place's anchors."""
    scores, _, _ = outputs(ssd, 1)
    marked = [torch.zeros_like(each) for each in scores]
    marked[1][:, :, 2, 3] = 1  # row 2, column 3 of the map of stride 16
    joined = torch.cat([each.permute(0, 2, 3, 1).reshape(1, -1, CLASSES + 1) for each in marked], 1)
    rows = joined[0].any(1)
    centers = (anchors[rows][:, :2] + anchors[rows][:, 2:]) / 2
    assert centers.unique(dim=0).tolist() == [[3.5 * 16, 2.5 * 16]]
    head, sources = ssd.head, tuple(torch.zeros(1, *tap.shape[1:]) for tap in ssd(torch.zeros(1, 3, 64, 64)).taps)
    before = head(*sources).scores
    sources[1][:, :, 2, 3] = 100.0
    changed = (head(*sources).scores != before)[0].any(1)
    assert changed[rows].all()


def test_building_leaves_the_mode_alone(ssd: Ssd) -> None:
    ssd.train()
    ssd.anchors(64)
    assert ssd.training
    ssd.eval()


@pytest.mark.slow
def test_ssd300_as_mmdet_ships_it() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, images = build_ssd(FullSsdSettings(kind="mmdet", imagenet=False), 20), torch.randn(2, 3, 300, 300)
    anchors = model.anchors(300)
    assert anchors.shape == (8732, 4)
    found = model(images)
    assert [tap.shape[1] for tap in found.taps] == [512, 1024, 512, 256, 256, 256]
    assert [tap.shape[2] for tap in found.taps] == [38, 19, 10, 5, 3, 1]
    again = model.head(*found.features)
    assert torch.equal(again.scores, found.raw.scores)
    assert torch.equal(again.offsets, found.raw.offsets)
    some = UnlabeledDetection(Pixels(torch.zeros(1, 3, 300, 300, dtype=torch.uint8), 300), model, RowSettings())
    assert some.embed(found).shape == (2, 1024)
    wanted = targets([(20, 30, 200, 250, 14), (5, 5, 60, 80, 3)], [])
    losses = some.losses(found.raw, wanted)
    assert losses.isfinite().all()


@pytest.mark.slow
def test_a_small_step_lowers_the_loss_of_ssd300_as_its_gradient_promises() -> None:
    SSD300.check()


def test_vgg_16_sees_colors_as_its_weights_were_trained() -> None:
    seen, wanted = input_colors(FullSsdSettings(kind="mmdet")), VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    assert seen.std == pytest.approx([255 * share for share in wanted.std])
    assert seen.mean == pytest.approx([255 * share for share in wanted.mean], abs=1)  # mmdet rounds otherwise
    assert seen.fill == seen.mean
    assert input_colors(SmallSsdSettings(kind="resnet18")) == Colors()


def test_a_full_ssd_reads_images_in_its_own_colors(cache: Path) -> None:
    data = DetectionData(
        validation=0, scenes=SceneSettings(seed=3, pool=12, test=3), pool=("2007/trainval",), stored_pixels=32
    )
    given = tiny_protocol("detection").task.model_copy(
        update={"data": data, "model": FullSsdSettings(kind="mmdet", imagenet=False), "pretraining": None}
    )
    task = build_task(given, cache, cache, torch.device("cpu"))
    one = np.arange(1)
    frame = task.unlabeled.frames(one).float().mean((2, 3))
    seen = task.unlabeled.images(one).mean((2, 3))
    assert (seen - (frame - torch.tensor([123.675, 116.28, 103.53]))).abs().max() < 2, "the mean taken off, and no more"


def test_a_config_that_is_not_there_or_no_ssd_is_refused() -> None:
    with pytest.raises(DataError, match=r"no mmdet config 'nowhere\.py'"):
        build_ssd(FullSsdSettings(kind="mmdet", config="nowhere.py"), 20)
    with pytest.raises(DataError, match="only SSDHead fits"):
        build_ssd(FullSsdSettings(kind="mmdet", config="retinanet/retinanet_r50_fpn_1x_coco.py"), 20)


def test_the_stand_in_gives_nms_and_refuses_the_rest() -> None:
    from mmcv import ops

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 4], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.1])
    kept, indices = ops.nms(boxes, scores, 0.55)
    assert indices.tolist() == [1, 2, 3]  # overlap of the first with the second 0.8, of the third 0.5
    assert kept[:, 4].tolist() == pytest.approx([0.9, 0.8, 0.1])
    extension = sys.modules["mmcv._ext"]
    if not isinstance(extension, openmmlab._Extension):
        pytest.skip("compiled mmcv is here, and nothing stands in for it")
    with pytest.raises(NotImplementedError, match="'roi_align_forward' needs compiled mmcv"):
        ops.roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), (2, 2))
    with pytest.raises(NotImplementedError, match="offset 0"):
        extension.nms(boxes, scores, 0.5, 1)
    with pytest.raises(AttributeError):
        extension.__version__  # noqa: B018


def test_xtcocotools_is_pycocotools() -> None:
    import pycocotools.coco
    import xtcocotools.coco

    assert xtcocotools.coco.COCO is pycocotools.coco.COCO
