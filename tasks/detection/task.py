"""Object detection: one distribution per anchor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from mmdet.models.layers import multiclass_nms
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from tasks.base import Ids, Metric, Outputs, Posteriors, Task, UnlabeledTask, as_annotations, require
from tasks.classification.task import ClassificationTask
from tasks.datasets.scenes import CLASSES as SCENE_CLASSES
from tasks.datasets.scenes import VOC_LAYOUT, materialize
from tasks.datasets.voc import Objects, decoded, fingerprint, load_split
from tasks.detection.augment import ssd_places
from tasks.detection.label_noise import mislabeled
from tasks.detection.losses import BoxTargets, ssd_losses
from tasks.detection.metrics import Detections, coco_precision, voc_precision
from tasks.detection.settings import DetectionSettings, RowSettings
from tasks.images import augment
from tasks.images.pixels import Pixels, on_device
from tasks.models.ssd import Ssd, SsdRaw, build_ssd, input_colors
from tasks.training.pretraining import pretrained

HALF = 0.5  # overlap of two boxes (intersection over union) that show the same object, as VOC counts it
PSEUDO_SCORE = 0.5  # a detection that the model itself holds for likelier than not


class UnlabeledDetection(UnlabeledTask[SsdRaw, BoxTargets]):
    """Raw output: SSD's logits and offsets. Target: padded boxes and class numbers."""

    def __init__(self, pixels: Pixels, model: Ssd, settings: RowSettings) -> None:
        super().__init__(pixels)
        self._anchors = model.anchors(pixels.size).to(pixels.device)
        self._coder = model.head.ssd.bbox_coder
        self._test: Any = model.head.ssd.test_cfg
        self._embedded = -len(model.neck.extra_layers) - 1
        self._settings = settings

    def posteriors(self, raw: SsdRaw) -> Posteriors:
        """One row per anchor over the classes and, last, the background.

        The weight of a row is proportional to its probability of an object; see `RowSettings`.
        """
        log_probs = functional.log_softmax(raw.scores, 2)
        presence = log_probs[:, :, :-1].logsumexp(2)  # of any object; 1 - p(background) would round to 0
        relative = (presence - presence.amax(1, keepdim=True)).exp()
        largest, rows = relative.topk(min(self._settings.most, relative.shape[1]), 1)
        counted = torch.where(largest >= self._settings.threshold, largest, 0.0)
        weight = torch.zeros_like(relative).scatter(1, rows, counted)
        return Posteriors(log_probs, weight / weight.sum(1, keepdim=True), log_probs[:, :, :-1].argmax(2))

    def losses(self, raw: SsdRaw, targets: BoxTargets) -> Float[Tensor, " n"]:
        """Confidence and box loss, matched, mined and normalised inside each image."""
        return ssd_losses(raw, targets, self._anchors, self._coder)

    def pseudo_targets(self, raw: SsdRaw) -> BoxTargets:
        """The detections that the model holds for likelier than not."""
        found = self.detections(raw, PSEUDO_SCORE)
        return padded([each.boxes * self.size for each in found], [each.labels for each in found], self.device)

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The backbone's last map (fc7 of VGG-16), averaged over places."""
        return outputs.features[self._embedded].mean((2, 3))

    def boxes(self, raw: SsdRaw) -> Float[Tensor, "n m 4"]:
        """Each anchor's predicted corners, in pixels of the model's input."""
        images, rows = raw.offsets.shape[:2]
        anchors = self._anchors.repeat(images, 1)
        corners = self._coder.decode(anchors, raw.offsets.flatten(0, 1), max_shape=(self.size, self.size))
        return corners.view(images, rows, 4)

    def detections(self, raw: SsdRaw, least_score: float | None = None) -> list[Detections]:
        """What is left of each image's predictions after non-maximum suppression, class by class."""
        least_score = float(self._test.score_thr) if least_score is None else least_score
        result = []
        for boxes, scores in zip(self.boxes(raw), raw.scores.softmax(2), strict=True):
            found, labels, *_ = multiclass_nms(boxes, scores, least_score, dict(self._test.nms), self._test.max_per_img)
            places = (found[:, :4] / self.size).cpu().numpy()
            result.append(Detections(places, found[:, 4].cpu().numpy(), labels.cpu().numpy()))
        return result


class DetectionTask(Task[SsdRaw, BoxTargets]):
    """VOC or data in its form, detected by an SSD."""

    metric = Metric("mAP", "IoU 0.5, 11 points")
    unlabeled: UnlabeledDetection
    settings: DetectionSettings

    def __init__(self, settings: DetectionSettings, data: Path, cache: Path, device: torch.device) -> None:
        source = settings.data
        self.group_names = SCENE_CLASSES if source.scenes else source.classes
        root = materialize(VOC_LAYOUT, source.scenes, cache) if source.scenes else data
        pool, test = (
            load_split(root / "VOCdevkit", lists, self.group_names, need_object=source.need_object)
            for lists in (source.pool, source.test)
        )
        twice = {file.name for file in pool.files} & {file.name for file in test.files}
        require(not twice, f"{min(twice, default='')} stands in the pool and in the test lists; remove it from one")
        files = pool.files + test.files
        self.settings = settings
        self.pool_size, self.test_size = len(pool.files), len(test.files)
        self.annotations = as_annotations(pool.objects + test.objects)
        self._start: dict[str, Tensor] = {}
        self.fingerprints = {"pool": fingerprint(pool), "test": fingerprint(test)}
        if settings.pretraining:
            shown = ClassificationTask(settings.pretraining, data, cache, device)
            self._start, digest = pretrained(shown, settings.pretraining, cache, "stages")
            self.fingerprints["trunk"] = digest
        pixels = settings.model.pixels
        stored = decoded(files, source.stored_pixels or pixels).to(device)
        blank = settings.model.model_copy(update={"imagenet": False})
        template = build_ssd(blank, len(self.group_names))
        seen = Pixels(stored, pixels, input_colors(settings.model))
        self.unlabeled = UnlabeledDetection(seen, template, settings.rows)

    def build_model(self) -> Ssd:
        """An SSD whose trunk is untrained unless the protocol says otherwise."""
        model = build_ssd(self.settings.model, len(self.group_names))
        if self._start:
            model.backbone.get_submodule("stages").load_state_dict(self._start)
        return model

    def targets(self, ids: Ids) -> BoxTargets:
        """The objects that are not difficult."""
        return padded(*self._easy(ids), self.unlabeled.device)

    def augmented(self, ids: Ids, rng: np.random.Generator) -> tuple[Float[Tensor, "n 3 h w"], BoxTargets]:
        """SSD's augmentation: photometric distortion, zooming out, crops of a minimum overlap, mirroring."""
        boxes, labels = stacked(*self._easy(ids))
        boxes /= self.unlabeled.size
        places = ssd_places(rng, boxes, labels >= 0, self.settings.zoom)
        images = self.unlabeled.warped(ids, places, augment.photometric(rng, len(ids)))
        return images, self._moved(boxes, labels, places)

    def _easy(self, ids: Ids) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Boxes in pixels and labels of each image's objects that are not difficult."""
        objects = [(each, ~each.difficult) for each in self.annotations[ids]]
        boxes = [each.boxes[easy] * self.unlabeled.size for each, easy in objects]
        return boxes, [each.labels[easy] for each, easy in objects]

    def _moved(self, boxes: Float[np.ndarray, "n b 4"], labels: np.ndarray, places: augment.Places) -> BoxTargets:
        """Boxes in the augmented image; objects whose center has left it are gone."""
        corners = augment.moved(boxes.reshape(len(boxes), -1, 2), places).reshape(boxes.shape)
        corners = np.concatenate(
            [np.minimum(corners[..., :2], corners[..., 2:]), np.maximum(corners[..., :2], corners[..., 2:])], -1
        )
        center = (corners[..., :2] + corners[..., 2:]) / 2
        kept = ((center > 0) & (center < 1)).all(-1) & (labels >= 0)
        corners = corners.clip(0, 1) * self.unlabeled.size
        return padded(
            [each[keep] for each, keep in zip(corners, kept, strict=True)],
            [each[keep] for each, keep in zip(labels, kept, strict=True)],
            self.unlabeled.device,
        )

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:  # noqa: ARG002 - classes are given
        """Which classes an image shows; difficult objects do not count."""
        present = torch.zeros(len(ids), len(self.group_names), dtype=torch.bool)
        for row, each in zip(present, self.annotations[ids], strict=True):
            row[torch.from_numpy(each.labels[~each.difficult])] = True
        return present

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> NDArray[Any]:
        """A share of the objects missed, of another class, or in a displaced box: a third each."""
        classes = len(self.group_names)
        return as_annotations([mislabeled(each, share, classes, rng) for each in self.annotations[ids]])

    def categories(self, raw: SsdRaw, ids: Ids) -> Int[Tensor, "n m"]:
        """The class of the object that a row's box overlaps the most, by half or more; elsewhere the background."""
        background = len(self.group_names)
        found = torch.full(raw.scores.shape[:2], background, device=raw.scores.device)
        for row, boxes, objects in zip(found, self.unlabeled.boxes(raw), self.annotations[ids], strict=True):
            if len(objects.labels):
                overlap, nearest = box_iou(boxes, self._corners(objects)).max(1)
                labels = torch.from_numpy(objects.labels).to(row)[nearest]
                row[:] = torch.where(overlap >= HALF, labels, background)
        return found

    def predictions(self, raw: SsdRaw) -> NDArray[Any]:
        """The detections that the model considers more likely than not."""
        return as_annotations(
            [
                Objects(
                    found.boxes,
                    found.labels,
                    np.zeros(len(found.labels), dtype=bool),
                    self.unlabeled.size,
                    self.unlabeled.size,
                )
                for found in self.unlabeled.detections(raw, PSEUDO_SCORE)
            ]
        )

    def metrics(self, raws: Iterable[SsdRaw], ids: Ids) -> dict[str, float]:
        """VOC's mAP in both forms, COCO's AP, and the share of row weight on objects (`weight_on_objects`)."""
        found: list[Detections] = []
        shares: list[float] = []
        objects = list(self.annotations[ids])
        for raw in raws:
            shares += self._weight_on_objects(raw, objects[len(found) : len(found) + len(raw.scores)])
            found += self.unlabeled.detections(raw)
        classes = len(self.group_names)
        return {
            **voc_precision(found, objects, classes),
            "COCO_AP": coco_precision(found, objects, classes),
            "weight_on_objects": float(np.mean(shares)) if shares else 0.0,
        }

    def _weight_on_objects(self, raw: SsdRaw, objects: list[Objects]) -> list[float]:
        """Of each image with an object, the weight of rows whose box overlaps one by half or more."""
        weight, boxes = self.unlabeled.posteriors(raw).weight, self.unlabeled.boxes(raw)
        return [
            float(one_weight[(box_iou(one_boxes, self._corners(each)) >= HALF).any(1)].sum())
            for one_weight, one_boxes, each in zip(weight, boxes, objects, strict=True)
            if len(each.labels)
        ]

    def _corners(self, objects: Objects) -> Float[Tensor, "b 4"]:
        return on_device(objects.boxes, self.unlabeled.device) * self.unlabeled.size


def stacked(
    boxes: list[np.ndarray], labels: list[np.ndarray]
) -> tuple[Float[np.ndarray, "n b 4"], Int[np.ndarray, "n b"]]:
    """Boxes (b 4) and class numbers (b,) of each image, padded to the most that an image has."""
    most = max((len(each) for each in labels), default=0)
    all_boxes = np.zeros((len(boxes), most, 4), dtype=np.float32)
    all_labels = np.full((len(boxes), most), -1, dtype=np.int64)
    for image, (some_boxes, some_labels) in enumerate(zip(boxes, labels, strict=True)):
        all_boxes[image, : len(some_boxes)] = some_boxes
        all_labels[image, : len(some_labels)] = some_labels
    return all_boxes, all_labels


def padded(boxes: list[np.ndarray], labels: list[np.ndarray], device: torch.device) -> BoxTargets:
    """Targets of a batch from each image's boxes (b 4) in pixels and class numbers (b,)."""
    return BoxTargets(*(on_device(each, device) for each in stacked(boxes, labels)))
