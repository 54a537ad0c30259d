"""Semantic segmentation: one distribution over the classes per cell of a coarse grid."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from tasks.base import Ids, Metric, Outputs, Posteriors, TapModel, UnlabeledTask
from tasks.datasets.masks import VOID, fingerprint
from tasks.errors import advising, require
from tasks.images import augment
from tasks.images.pixels import Pixels, Transforms, on_device
from tasks.images.squares import decoded
from tasks.images.store import Store
from tasks.models.factories.segmenters import SegmenterFactory
from tasks.segmentation.cells import cell_classes, cell_posteriors, class_shares
from tasks.segmentation.label_noise import mislabeled
from tasks.segmentation.losses import enlarged, pixel_losses
from tasks.segmentation.metrics import confusion, segmentation_metrics
from tasks.segmentation.settings import CellSettings, SegmentationSettings
from tasks.segmentation.sources import source_of
from tasks.training.device.task import DeviceTask, Drawn


class UnlabeledSegmentation(UnlabeledTask[Tensor, Tensor]):
    """Raw output: logits (n, classes, h, w) of a coarser map. Target: label maps (n, s, s) of any resolution."""

    def __init__(self, pixels: Pixels, cells: CellSettings, store: Store | None = None) -> None:
        super().__init__(pixels, store)
        self._cells = cells

    def posteriors(self, raw: Float[Tensor, "n k h w"]) -> Posteriors:
        """One row per cell of a coarse grid: the mean of its pixels' class distributions; see `CellSettings`."""
        return cell_posteriors(raw, self._cells.grid, self._cells.weight)

    def losses(self, raw: Float[Tensor, "n k h w"], targets: Int[Tensor, "n s s"]) -> Float[Tensor, " n"]:
        """The mean cross-entropy over labeled pixels."""
        return pixel_losses(raw, targets)

    def pseudo_targets(self, raw: Float[Tensor, "n k h w"]) -> Int[Tensor, "n s s"]:
        """The most probable class of each pixel of the model's input."""
        return enlarged(raw, self.size).argmax(1)

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The spatial mean of the encoder's last map."""
        return outputs.taps[-1].mean((2, 3))

    def warped_labels(self, labels: UInt8[Tensor, "n s s"], transforms: Transforms) -> Int[Tensor, "n h w"]:
        """Label maps under a transform per image; what lies outside of an image is void."""
        return self._pixels.warp_labels(labels, transforms, VOID)


class SegmentationTask(DeviceTask[Tensor, Tensor]):
    """CamVid, Cityscapes, COCO, or data in their forms, segmented by an encoder-decoder. Annotations are label maps."""

    metric = Metric("mIoU", "mean over classes")
    unlabeled: UnlabeledSegmentation
    settings: SegmentationSettings

    def __init__(self, settings: SegmentationSettings, data: Path, cache: Path, device: torch.device) -> None:
        source = source_of(settings.data, data, cache)  # data that is missing ends here, before weights are fetched
        self.settings = settings
        self.group_names = source.class_names
        self._models = SegmenterFactory(settings.model, len(self.group_names))
        _check_grid(settings.cells.grid, self._models.side)
        side = settings.data.stored_pixels or settings.model.pixels
        splits = source.pool, source.test
        with advising(source.advice):
            labels = [split.labels(side) for split in splits]
            images = source.pool.images + source.test.images
            stored = decoded(images, side, cache, keep=settings.data.read_again).to(device)
        self.pool_size, self.test_size = (len(split.images) for split in splits)
        self.annotations = np.concatenate(labels)
        digests = (fingerprint(split.images, maps) for split, maps in zip(splits, labels, strict=True))
        self.fingerprints = {**dict(zip(("pool", "test"), digests, strict=True)), **self._models.fingerprints}
        pixels = Pixels(stored, settings.model.pixels, self._models.colors)
        self.unlabeled = UnlabeledSegmentation(pixels, settings.cells, self._models.freeze(pixels, cache))

    def build_model(self) -> TapModel:
        """The protocol's model, with random weights or those that the protocol names for its trunk."""
        return self._models.build()

    def pretrained_model(self) -> TapModel:
        """The trunk with the protocol's weights, and a decoder that is not trained."""
        return self._models.pretrained() or super().pretrained_model()

    def targets(self, ids: Ids) -> Int[Tensor, "n s s"]:
        """The label maps."""
        return on_device(self.annotations[ids], self.unlabeled.device).long()

    def drawn(self, ids: Ids, rng: np.random.Generator, *, padded: bool = False) -> Drawn:  # noqa: ARG002
        """Random crops and horizontal flips; of a frozen trunk, flips alone where they are stored."""
        if not self.unlabeled.reads_images:
            return ids, rng.integers(0, self.settings.stored_views, len(ids)), self.annotations[ids]
        sides = rng.uniform(self.settings.smallest_crop, 1, len(ids))
        left, top = rng.random((2, len(ids))) * (1 - sides)
        crops = augment.windows(left, top, sides, sides)
        return ids, augment.compose(crops, augment.flips(rng, len(ids))), self.annotations[ids]

    def batch(self, drawn: Drawn) -> tuple[Float[Tensor, "n ..."], Int[Tensor, "n s s"]]:
        """The augmented images, or the rows that a frozen trunk gave, and their label maps."""
        ids, changes, maps = drawn
        device = self.unlabeled.device
        inputs, labels = self.unlabeled.changed(ids, changes), on_device(maps, device)
        if self.unlabeled.reads_images:
            return inputs, self.unlabeled.warped_labels(labels, changes)
        mirrored = on_device(changes, device)[:, None, None] == 1
        return inputs, torch.where(mirrored, labels.flip(2), labels).long()

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:
        """The classes that take more of an image than their mean share of the reference images.

        Not the classes that are present: many are in nearly all images of a street.
        """
        classes = len(self.group_names)
        usual = class_shares(self.annotations[reference], classes).sum(0) / max(len(reference), 1)
        return torch.from_numpy(class_shares(self.annotations[ids], classes) > usual)

    def label_counts(self, ids: Ids) -> dict[str, int]:
        """For each class the number of these images that show it."""
        shown = class_shares(self.annotations[ids], len(self.group_names)) > 0
        return dict(zip(self.group_names, shown.sum(0).tolist(), strict=True))

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> UInt8[np.ndarray, "n s s"]:
        """A share of the segments wrong: half of another class, half with eroded borders."""
        classes = len(self.group_names)
        noisy = [mislabeled(labels, share, classes, rng) for labels in self.annotations[ids]]
        return np.array(noisy, np.uint8).reshape(len(ids), *self.annotations.shape[1:])

    def categories(self, raw: Float[Tensor, "n k h w"], ids: Ids) -> Int[Tensor, "n m"]:  # noqa: ARG002
        """The class with the most pixels of each cell; -1 where none is labeled."""
        return cell_classes(self.targets(ids), self.settings.cells.grid, len(self.group_names))

    def predictions(self, raw: Float[Tensor, "n k h w"]) -> UInt8[np.ndarray, "n s s"]:
        """The most probable class of each pixel, in the resolution of the annotations."""
        return enlarged(raw.float(), self.annotations.shape[1]).argmax(1).to(torch.uint8).cpu().numpy()

    def metrics(self, raws: Iterable[Float[Tensor, "_ k h w"]], ids: Ids) -> dict[str, float]:
        """The mean intersection over union of all images together, and shares of right pixels; void pixels are left out."""
        classes, done = len(self.group_names), 0
        counts = np.zeros((classes, classes), np.int64)
        for raw in raws:
            labels = self.annotations[ids[done : done + len(raw)]]
            counts += confusion(self.predictions(raw), labels, classes)
            done += len(raw)
        return segmentation_metrics(counts)


def _check_grid(grid: int, side: int) -> None:
    require(grid <= side, f"cells.grid is {grid}, and the model's map has {side} cells a side", "lower cells.grid")
