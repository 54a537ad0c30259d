"""Image classification: one distribution over the classes per image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from tasks.base import Ids, Metric, Outputs, Posteriors, TapModel, UnlabeledTask
from tasks.classification.label_noise import mislabeled
from tasks.classification.losses import cross_entropy
from tasks.classification.metrics import accuracies
from tasks.classification.settings import ClassificationData, ClassificationSettings
from tasks.datasets.classes.cifar import load_cifar10
from tasks.datasets.classes.class_files import class_folders, class_table, load_files
from tasks.datasets.classes.classified import ClassifiedImages
from tasks.datasets.classes.rendered import load_rendered
from tasks.datasets.classes.torchvision_sets import load_torchvision
from tasks.datasets.labeled.classes import decode_labeled
from tasks.datasets.labeled.folder import load_labeled
from tasks.datasets.names import TORCHVISION_FOLDER
from tasks.datasets.scenes import OBJECTS_LAYOUT, materialize
from tasks.images import augment
from tasks.images.pixels import Colors, Pixels, on_device
from tasks.models.factories.classifiers import ClassifierFactory
from tasks.models.tapped import VECTORS, as_map
from tasks.training.device.task import DeviceTask, Drawn

# Mean and standard deviation of CIFAR-10's training pixels; the crop pads with black, as the usual recipe does.
COLORS = Colors(mean=(125.31, 122.95, 113.87), std=(62.99, 62.09, 66.70), fill=(0.0, 0.0, 0.0))
CROP_PADDING, CROP_PIXELS = 4, 32  # shifts of up to 4 of 32 pixels (He et al. 2016, section 4.2)


class UnlabeledClassification(UnlabeledTask[Tensor, Tensor]):
    """Raw output: logits (n, classes). Target: class indices (n,)."""

    def posteriors(self, raw: Float[Tensor, "n k"]) -> Posteriors:
        """One row per image: the softmax over the classes. Its context is the most probable class."""
        return Posteriors(
            functional.log_softmax(raw, 1).unsqueeze(1), torch.ones_like(raw[:, :1]), raw.argmax(1, keepdim=True)
        )

    def losses(self, raw: Float[Tensor, "n k"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Cross-entropy."""
        return cross_entropy(raw, targets)

    def pseudo_targets(self, raw: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
        """The most probable class."""
        return raw.argmax(1)

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The features that the head reads; the mean over the cells where it reads maps or tokens."""
        (features, *_) = outputs.features
        return features if features.ndim == VECTORS else as_map(features).mean((2, 3))


class ClassificationTask(DeviceTask[Tensor, Tensor]):
    """Images of one class each, and a classifier."""

    metric = Metric("accuracy", "share of images")
    settings: ClassificationSettings

    def __init__(self, settings: ClassificationSettings, data: Path, cache: Path, device: torch.device) -> None:
        images = _loaded(settings, data, cache)
        self.settings = settings
        self.pool_size, self.test_size = images.pool_size, len(images.labels) - images.pool_size
        self.annotations = images.labels
        self.group_names = images.class_names
        self._models = ClassifierFactory(settings.model, len(self.group_names))
        self.fingerprints = {"data": images.fingerprint, **self._models.fingerprints}
        pixels = Pixels(images.pixels.to(device), settings.model.pixels, self._models.colors or _colors(settings.data))
        self.unlabeled = UnlabeledClassification(pixels, self._models.freeze(pixels, cache))

    def build_model(self) -> TapModel:
        """The protocol's model, with random weights or those that the protocol names."""
        return self._models.build()

    def pretrained_model(self) -> TapModel:
        """The trunk with the protocol's weights, and a classifier that is not trained."""
        return self._models.pretrained() or super().pretrained_model()

    def targets(self, ids: Ids) -> Int[Tensor, " n"]:
        """Class indices."""
        return on_device(self.annotations[ids], self.unlabeled.device)

    def drawn(self, ids: Ids, rng: np.random.Generator, *, padded: bool = False) -> Drawn:  # noqa: ARG002
        """Random shifts, of whole pixels at 32 pixels, and horizontal flips; of a frozen trunk, flips alone where they are stored."""
        if not self.unlabeled.reads_images:
            return ids, rng.integers(0, self.settings.stored_views, len(ids)), self.annotations[ids]
        shifts = rng.integers(-CROP_PADDING, CROP_PADDING, (2, len(ids)), endpoint=True) / CROP_PIXELS
        ones = np.ones(len(ids))
        transforms = augment.compose(augment.windows(shifts[0], shifts[1], ones, ones), augment.flips(rng, len(ids)))
        return ids, transforms, self.annotations[ids]

    def batch(self, drawn: Drawn) -> tuple[Float[Tensor, "n ..."], Int[Tensor, " n"]]:
        """The augmented images, or the rows that a frozen trunk gave, and their classes."""
        ids, changes, labels = drawn
        return self.unlabeled.changed(ids, changes), on_device(labels, self.unlabeled.device)

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:  # noqa: ARG002 - the annotations name the classes
        """The class of each image, one-hot."""
        return functional.one_hot(torch.from_numpy(self.annotations[ids]), len(self.group_names)).bool()

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
        """A share of the images labeled with another class; all other classes are equally likely."""
        return mislabeled(self.annotations[ids], share, len(self.group_names), rng)

    def categories(self, raw: Float[Tensor, "n k"], ids: Ids) -> Int[Tensor, "n 1"]:  # noqa: ARG002
        """The class."""
        return self.targets(ids).unsqueeze(1)

    def predictions(self, raw: Float[Tensor, "n k"]) -> Int[np.ndarray, " n"]:
        """The most probable class."""
        return raw.argmax(1).cpu().numpy()

    def metrics(self, raws: Iterable[Float[Tensor, "_ k"]], ids: Ids) -> dict[str, float]:
        """Accuracy over images, and averaged over classes."""
        predicted = torch.cat([raw.argmax(1) for raw in raws])
        return accuracies(predicted, self.targets(ids), len(self.group_names))


def _loaded(settings: ClassificationSettings, data: Path, cache: Path) -> ClassifiedImages:
    """The images in the form that the protocol names. Files of one's own are scaled to the model's input."""
    source, side = settings.data, settings.model.pixels
    if source.scenes:
        return load_rendered(materialize(OBJECTS_LAYOUT, source.scenes, cache))
    if source.labeled:
        return decode_labeled(load_labeled(source.labeled, data, "choices"), side, cache, keep=source.read_again)
    if source.folder:
        return load_files(class_folders(data / source.folder), side, source.test, cache)
    if source.table:
        return load_files(class_table(data / source.table), side, source.test, cache)
    if source.torchvision:
        return load_torchvision(source.torchvision, data / TORCHVISION_FOLDER, side, source.test)
    return load_cifar10(data)


def _colors(source: ClassificationData) -> Colors:
    """Of a model that does not know its own: CIFAR-10's, for rendered scenes, too, or ImageNet's for images of one's own."""
    return COLORS if source.scenes or source.is_cifar10 else Colors()
