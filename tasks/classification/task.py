"""Image classification: one distribution per image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from tasks.base import Ids, Metric, Outputs, Posteriors, Task, UnlabeledTask
from tasks.classification.settings import ClassificationSettings
from tasks.datasets.cifar import load
from tasks.datasets.scenes import CIFAR_LAYOUT, materialize
from tasks.images import augment
from tasks.images.pixels import Colors, Pixels, on_device
from tasks.models.resnet import Classifier

# Mean and standard deviation of CIFAR-10's training pixels; the crop pads with black, as the usual recipe does.
COLORS = Colors(mean=(125.31, 122.95, 113.87), std=(62.99, 62.09, 66.70), fill=(0.0, 0.0, 0.0))
CROP_PADDING, CROP_PIXELS = 4, 32  # shifts of up to 4 of 32 pixels (He et al. 2016, section 4.2)


class UnlabeledClassification(UnlabeledTask[Tensor, Tensor]):
    """Raw output: logits (n, classes). Target: class numbers (n,)."""

    def posteriors(self, raw: Float[Tensor, "n k"]) -> Posteriors:
        """One row per image: the softmax over the classes."""
        return Posteriors(
            functional.log_softmax(raw, 1).unsqueeze(1), torch.ones_like(raw[:, :1]), raw.argmax(1, keepdim=True)
        )

    def losses(self, raw: Float[Tensor, "n k"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Cross-entropy."""
        return functional.cross_entropy(raw, targets, reduction="none")

    def pseudo_targets(self, raw: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
        """The most probable class."""
        return raw.argmax(1)

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The pooled last stage."""
        return outputs.features[0]


class ClassificationTask(Task[Tensor, Tensor]):
    """CIFAR-10 or data in its form, classified by ResNet-18."""

    metric = Metric("accuracy", "share of images")
    settings: ClassificationSettings

    def __init__(self, settings: ClassificationSettings, data: Path, cache: Path, device: torch.device) -> None:
        scenes = settings.data.scenes
        root = materialize(CIFAR_LAYOUT, scenes, cache) if scenes else data
        images = load(root, manifest=scenes is not None)
        self.settings = settings
        self.pool_size, self.test_size = images.pool, len(images.labels) - images.pool
        self.annotations = images.labels
        self.group_names = images.names
        self.fingerprints = {"data": images.fingerprint}
        self.unlabeled = UnlabeledClassification(Pixels(images.pixels.to(device), settings.model.pixels, COLORS))

    def build_model(self) -> Classifier:
        """An untrained ResNet-18."""
        return Classifier(self.settings.model, len(self.group_names))

    def targets(self, ids: Ids) -> Int[Tensor, " n"]:
        """Class numbers."""
        return on_device(self.annotations[ids], self.unlabeled.device)

    def augmented(self, ids: Ids, rng: np.random.Generator) -> tuple[Float[Tensor, "n 3 h w"], Int[Tensor, " n"]]:
        """Random shifts by whole pixels and mirroring."""
        shifts = rng.integers(-CROP_PADDING, CROP_PADDING, (2, len(ids)), endpoint=True) / CROP_PIXELS
        whole = np.ones(len(ids))
        places = augment.then(augment.windows(shifts[0], shifts[1], whole, whole), augment.flips(rng, len(ids)))
        return self.unlabeled.warped(ids, places), self.targets(ids)

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:  # noqa: ARG002 - classes are given
        """The class of each image, one-hot."""
        return functional.one_hot(torch.from_numpy(self.annotations[ids]), len(self.group_names)).bool()

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
        """A share of the images in one of the other classes, each as likely."""
        wrong = rng.random(len(ids)) < share
        shifts = rng.integers(1, len(self.group_names), len(ids))
        return np.where(wrong, (self.annotations[ids] + shifts) % len(self.group_names), self.annotations[ids])

    def categories(self, raw: Float[Tensor, "n k"], ids: Ids) -> Int[Tensor, "n 1"]:  # noqa: ARG002
        """The class."""
        return self.targets(ids).unsqueeze(1)

    def predictions(self, raw: Float[Tensor, "n k"]) -> Int[np.ndarray, " n"]:
        """The most probable class."""
        return raw.argmax(1).cpu().numpy()

    def metrics(self, raws: Iterable[Float[Tensor, "_ k"]], ids: Ids) -> dict[str, float]:
        """Accuracy, and its mean over the classes that occur (`balanced_accuracy`)."""
        right = (torch.cat([raw.argmax(1) for raw in raws]) == self.targets(ids)).cpu().double()
        classes = self.groups(ids, ids).double()
        counts = classes.sum(0)
        per_class = (right @ classes)[counts > 0] / counts[counts > 0]
        return {"accuracy": float(right.mean()), "balanced_accuracy": float(per_class.mean())}
