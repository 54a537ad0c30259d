"""Object detection: one distribution over classes and background per anchor."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmdet is imported

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from tasks.base import Ids, Metric, Outputs, Posteriors, TapModel, UnlabeledTask, as_annotations
from tasks.classification.task import ClassificationTask
from tasks.datasets.objects import Objects, fingerprint
from tasks.detection.augment import ssd_transforms
from tasks.detection.label_noise import mislabeled
from tasks.detection.losses import BoxTargets, box_targets, pad_objects
from tasks.detection.metrics import Detections, coco_precision, voc_precision
from tasks.detection.reading import DetectorRaw, reading
from tasks.detection.settings import DetectionSettings, RowSettings
from tasks.detection.sources import source_of
from tasks.errors import advising
from tasks.images import augment
from tasks.images.pixels import Pixels, on_device
from tasks.images.squares import decoded
from tasks.images.store import Store
from tasks.models.factories.detectors import Detector, DetectorFactory
from tasks.training.device.task import DeviceTask, Drawn
from tasks.training.pretraining import pretrained

MATCHING_IOU = 0.5  # the overlap from which two boxes show the same object in VOC's evaluation
LIKELY = 0.5  # a detection with a higher score is more likely right than wrong, according to the model


class UnlabeledDetection(UnlabeledTask[DetectorRaw, BoxTargets]):
    """Raw output: the head's, one row per anchor or location. Target: padded boxes and class indices."""

    def __init__(self, pixels: Pixels, model: Detector, settings: RowSettings, store: Store | None = None) -> None:
        super().__init__(pixels, store)
        self.reading = reading(model, pixels.size, pixels.device)
        self._embedded_tap = model.embedded_tap
        self._settings = settings

    def posteriors(self, raw: DetectorRaw) -> Posteriors:
        """One row per anchor, over the classes and, last, the background. Its context is the most probable class.

        The weight of a row is proportional to its probability of an object; see `RowSettings`.
        """
        log_probs = self.reading.log_probs(raw)
        object_log_probs = log_probs[:, :, :-1].logsumexp(2)  # 1 - p(background) would round to 0
        relative = (object_log_probs - object_log_probs.amax(1, keepdim=True)).exp()
        largest, rows = relative.topk(min(self._settings.most, relative.shape[1]), 1)
        counted = torch.where(largest >= self._settings.threshold, largest, 0.0)
        weight = torch.zeros_like(relative).scatter(1, rows, counted)
        return Posteriors(log_probs, weight / weight.sum(1, keepdim=True), log_probs[:, :, :-1].argmax(2))

    def losses(self, raw: DetectorRaw, targets: BoxTargets) -> Float[Tensor, " n"]:
        """The head's loss of each image, all of its parts added; anchors are matched within each image."""
        return self.reading.losses(raw, targets)

    def pseudo_targets(self, raw: DetectorRaw) -> BoxTargets:
        """The detections with a score above 0.5."""
        detections = self.detections(raw, LIKELY)
        boxes = [image.boxes * self.size for image in detections]
        return box_targets(boxes, [image.labels for image in detections], self.device)

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The spatial mean of the backbone's last map (fc7 of VGG-16), or of the neck's map of its resolution."""
        return outputs.taps[self._embedded_tap].mean((2, 3))

    @property
    def capturable(self) -> bool:
        """Not with the losses of mmdet's heads, which go image by image."""
        return self.reading.vectorized and super().capturable

    def boxes(self, raw: DetectorRaw) -> Float[Tensor, "n m 4"]:
        """The predicted corners of each row, in pixels of the model's input."""
        return self.reading.boxes(raw)

    def detections(self, raw: DetectorRaw, min_score: float | None = None) -> list[Detections]:
        """Each image's detections after non-maximum suppression within each class.

        Args:
            raw: the raw output.
            min_score: detections with a lower score are left out; by default the threshold of the model's config.
        """
        return [
            Detections((boxes / self.size).cpu().numpy(), scores.cpu().numpy(), labels.cpu().numpy())
            for boxes, scores, labels in self.reading.detections(raw, min_score)
        ]


class DetectionTask(DeviceTask[DetectorRaw, BoxTargets]):
    """Images with objects in boxes, detected by a single-stage detector."""

    metric = Metric("mAP", "IoU 0.5, 11 points")
    unlabeled: UnlabeledDetection
    settings: DetectionSettings

    def __init__(self, settings: DetectionSettings, data: Path, cache: Path, device: torch.device) -> None:
        source = source_of(settings.data, data, cache)
        self.settings = settings
        self.group_names = source.class_names
        self._models = DetectorFactory(settings.model, len(self.group_names))  # a config that does not fit ends here
        stored_pixels = settings.data.stored_pixels or settings.model.pixels
        pool, test, advice = source.read()
        with advising(advice):
            keep = settings.data.read_again
            stored = decoded(pool.files + test.files, stored_pixels, cache, keep=keep).to(device)
        self.pool_size, self.test_size = len(pool.files), len(test.files)
        self.annotations = as_annotations(pool.objects + test.objects)
        self.fingerprints = {"pool": fingerprint(pool), "test": fingerprint(test), **self._models.fingerprints}
        self._trunk_weights: dict[str, Tensor] = {}
        if settings.pretraining:
            classifier = ClassificationTask(settings.pretraining, data, cache, device)
            self._trunk_weights, digest = pretrained(classifier, settings.pretraining, cache, "stages")
            self.fingerprints["trunk"] = digest
        pixels = Pixels(stored, settings.model.pixels, self._models.colors)
        store = self._models.freeze(pixels, cache)
        self.unlabeled = UnlabeledDetection(pixels, self._models.build(pretrained=False), settings.rows, store)

    def build_model(self) -> Detector:
        """A detector with untrained weights, or with those that the protocol names for its trunk."""
        model = self._models.build()
        if self._trunk_weights:
            model.backbone.get_submodule("stages").load_state_dict(self._trunk_weights)
        return model

    def pretrained_model(self) -> TapModel:
        """A detector with the protocol's weights in its trunk, and a head that is not trained."""
        pretrained = self.build_model() if self._trunk_weights else self._models.pretrained()
        return pretrained or super().pretrained_model()

    def targets(self, ids: Ids) -> BoxTargets:
        """The objects that are not difficult."""
        return box_targets(*self._easy_objects(ids), self.unlabeled.device)

    def drawn(self, ids: Ids, rng: np.random.Generator, *, padded: bool = False) -> Drawn:
        """SSD's augmentation: photometric distortion, zooming out, crops of a minimum overlap, horizontal flips.

        Of a frozen trunk, flips alone where they are stored.
        """
        boxes, labels = pad_objects(*self._easy_objects(ids))
        boxes /= self.unlabeled.size
        most = self._most_objects if padded else 0
        if not self.unlabeled.reads_images:
            views = rng.integers(0, self.settings.stored_views, len(ids))
            return ids, views, *self._transformed(boxes, labels, augment.mirrored(views == 1), most)
        transforms = ssd_transforms(rng, boxes, labels >= 0, self.settings.zoom)
        colors = augment.photometric(rng, len(ids))
        return ids, transforms, colors, *self._transformed(boxes, labels, transforms, most)

    def batch(self, drawn: Drawn) -> tuple[Float[Tensor, "n ..."], BoxTargets]:
        """The augmented images, or the rows that a frozen trunk gave, and their objects."""
        ids, changes, *colors, boxes, labels = drawn
        device = self.unlabeled.device
        inputs = self.unlabeled.changed(ids, changes, *colors)
        return inputs, BoxTargets(on_device(boxes, device), on_device(labels, device))

    def _easy_objects(self, ids: Ids) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The boxes (in pixels of the model's input) and labels of each image's objects that are not difficult."""
        easy_objects = [(objects, ~objects.difficult) for objects in self.annotations[ids]]
        boxes = [objects.boxes[easy] * self.unlabeled.size for objects, easy in easy_objects]
        return boxes, [objects.labels[easy] for objects, easy in easy_objects]

    @cached_property
    def _most_objects(self) -> int:
        """The largest number in one image; annotation errors add none."""
        return max(len(objects.labels) for objects in self.annotations)

    def _transformed(
        self, boxes: Float[np.ndarray, "n b 4"], labels: np.ndarray, transforms: augment.Transforms, most: int
    ) -> tuple[Float[np.ndarray, "n p 4"], Int[np.ndarray, "n p"]]:
        """The objects of the augmented images, padded at least to `most`, without those whose center lies outside."""
        corners = augment.transform_points(boxes.reshape(len(boxes), -1, 2), transforms).reshape(boxes.shape)
        corners = np.concatenate(
            [np.minimum(corners[..., :2], corners[..., 2:]), np.maximum(corners[..., :2], corners[..., 2:])], -1
        )
        center = (corners[..., :2] + corners[..., 2:]) / 2
        kept = ((center > 0) & (center < 1)).all(-1) & (labels >= 0)
        corners = corners.clip(0, 1) * self.unlabeled.size
        return pad_objects(
            [image[rows] for image, rows in zip(corners, kept, strict=True)],
            [image[rows] for image, rows in zip(labels, kept, strict=True)],
            most,
        )

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:  # noqa: ARG002 - the annotations name the classes
        """The classes present in each image; difficult objects do not count."""
        present = torch.zeros(len(ids), len(self.group_names), dtype=torch.bool)
        for row, objects in zip(present, self.annotations[ids], strict=True):
            row[torch.from_numpy(objects.labels[~objects.difficult])] = True
        return present

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> NDArray[Any]:
        """A share of the objects wrong: one third missed, one third of another class, one third in a displaced box."""
        classes = len(self.group_names)
        return as_annotations([mislabeled(objects, share, classes, rng) for objects in self.annotations[ids]])

    def categories(self, raw: DetectorRaw, ids: Ids) -> Int[Tensor, "n m"]:
        """The class of the object that a row's box overlaps most, if IoU is at least 0.5; otherwise the background."""
        background = len(self.group_names)
        categories = torch.full(raw.scores.shape[:2], background, device=raw.scores.device)
        for row, boxes, objects in zip(categories, self.unlabeled.boxes(raw), self.annotations[ids], strict=True):
            if len(objects.labels):
                overlap, nearest = box_iou(boxes, self._corners(objects)).max(1)
                labels = torch.from_numpy(objects.labels).to(row)[nearest]
                row[:] = torch.where(overlap >= MATCHING_IOU, labels, background)
        return categories

    def predictions(self, raw: DetectorRaw) -> NDArray[Any]:
        """The detections with a score above 0.5."""
        side = self.unlabeled.size
        return as_annotations(
            [
                Objects(image.boxes, image.labels, np.zeros(len(image.labels), dtype=bool), side, side)
                for image in self.unlabeled.detections(raw, LIKELY)
            ]
        )

    def metrics(self, raws: Iterable[DetectorRaw], ids: Ids) -> dict[str, float]:
        """VOC's mAP in both forms, COCO's AP, and the mean weight of rows on objects (`weight_on_objects`)."""
        detections: list[Detections] = []
        shares: list[float] = []
        objects = list(self.annotations[ids])
        for raw in raws:
            shares += self._weight_on_objects(raw, objects[len(detections) : len(detections) + len(raw.scores)])
            detections += self.unlabeled.detections(raw)
        classes = len(self.group_names)
        return {
            **voc_precision(detections, objects, classes),
            "COCO_AP": coco_precision(detections, objects, classes),
            "weight_on_objects": float(np.mean(shares)) if shares else 0.0,
        }

    def _weight_on_objects(self, raw: DetectorRaw, objects: list[Objects]) -> list[float]:
        """For each image with objects: the total weight of the rows whose box overlaps one with IoU of at least 0.5."""
        weights, boxes = self.unlabeled.posteriors(raw).weight, self.unlabeled.boxes(raw)
        return [
            float(weight[(box_iou(corners, self._corners(annotation)) >= MATCHING_IOU).any(1)].sum())
            for weight, corners, annotation in zip(weights, boxes, objects, strict=True)
            if len(annotation.labels)
        ]

    def _corners(self, objects: Objects) -> Float[Tensor, "b 4"]:
        """An image's boxes in pixels of the model's input."""
        return on_device(objects.boxes, self.unlabeled.device) * self.unlabeled.size
