"""The contract of a task: what a recognition problem must provide so that every strategy runs on it unchanged.

Dimension letters, used everywhere: n images, m rows (distributions) per image, k categories, d embedding size,
g groups, c h w channels, height and width.

An `UnlabeledTask` knows the images and how to interpret a model's output, but no labels; strategies see nothing else. A
`Task` adds the labels; only training and evaluation hold one. Neither imports `lossnet`: they exchange tensors only.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.errors import DataError
from tasks.images.pixels import ArrayIds, ColorMaps, Pixels, Transforms
from tasks.images.store import Store
from tasks.settings import CLEAN, Recipe, Stress, TaskSettings

Ids = NDArray[np.int64]
"""Image numbers: pool images are 0 to pool size - 1, test images follow. Always absolute, never relative to a subset."""
Features = tuple[Tensor, ...]
"""The inputs of a model's head."""
Raw = TypeVar("Raw")
"""The output of a model's head: a tensor, or a named tuple of tensors, with images along the first dimension."""
Target = TypeVar("Target")
"""What the loss compares the raw output with: a tensor or a named tuple of tensors, images along the first dimension."""


class Metric(NamedTuple):
    """The metric by which runs of a task are ranked."""

    name: str
    unit: str
    larger_is_better: bool = True


class Outputs(NamedTuple):
    """The result of one forward pass: `taps` for loss prediction, `features` for the head, `raw` = head(*features)."""

    taps: tuple[Tensor, ...]
    features: Features
    raw: Any
    scales: tuple[Tensor, ...] = ()
    """Maps of all resolutions of the model's last part, for those loss predictors that ask for them; see `read_by`."""

    def read_by(self, predictor: object) -> tuple[Tensor, ...]:
        """What a loss predictor, or the objective that builds and trains one, reads.

        It is `scales` for one whose attribute `reads_scales` is true, where the model has any, and else `taps`.
        """
        return self.scales if self.scales and getattr(predictor, "reads_scales", False) else self.taps


class TapModel(nn.Module, ABC):
    """A model that also returns its taps: the feature maps from which its loss is predicted.

    `head` is everything between the features and the raw output. Strategies run the head alone, on changed features.
    """

    head: nn.Module

    @abstractmethod
    def trunk(self, images: Float[Tensor, "n ..."]) -> tuple[tuple[Tensor, ...], Features]:
        """The taps, each (n, c, h, w), and the features that the head accepts."""

    def scaled_trunk(self, images: Float[Tensor, "n ..."]) -> tuple[tuple[Tensor, ...], Features, tuple[Tensor, ...]]:
        """The same, and third the `scales` of `Outputs`; none unless a model overrides this."""
        return *self.trunk(images), ()

    def placed(self, device: torch.device) -> TapModel:
        """Move this model to a device, in channels-last memory format, in which convolutions are fast."""
        return self.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stubs

    def forward(self, images: Float[Tensor, "n ..."]) -> Outputs:
        """Taps, features and raw output of inputs: normalized images, unless the trunk is frozen."""
        taps, features, scales = self.scaled_trunk(images)
        return Outputs(taps, features, self.head(*features), scales)


@dataclass(frozen=True, slots=True)
class Posteriors:
    """Predictions of any task, as m categorical distributions (rows) per image."""

    log_probs: Float[Tensor, "n m k"]
    """In nats; -inf where a probability is exactly zero."""
    weight: Float[Tensor, "n m"]
    """Weight of each row in the image's score: at least 0, sums to 1 over the rows of an image."""
    context: Int[Tensor, "n m"]
    """What a row predicts: the index of a class, of a joint, ..."""
    grid: tuple[int, int] | None = None
    """Height and width, if the categories are the cells of a map, in row-major order."""

    def pooled(self, rows: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """The weighted mean over an image's rows of one number per row. Rows of weight 0 are ignored, even if NaN."""
        return torch.where(self.weight == 0, 0.0, rows * self.weight).sum(1)  # a weight that is NaN stays visible


class UnlabeledTask(ABC, Generic[Raw, Target]):
    """A task without its labels: its images, and the meaning of a model's raw output.

    Args:
        pixels: the images.
        store: of a frozen trunk, what it gave for them; None where the model reads the images.
    """

    _store: Store | None = None

    def __init__(self, pixels: Pixels, store: Store | None = None) -> None:
        self._pixels, self._store = pixels, store

    def images(self, ids: Ids) -> Float[Tensor, "n 3 h w"]:
        """The images at test time: RGB, float32, normalized, not augmented."""
        return self._pixels.read(ids)

    def inputs(self, ids: Ids) -> Float[Tensor, "n ..."]:
        """The model's input at test time: the images, or the rows that a frozen trunk gave for them."""
        if self._store is None:
            return self.images(ids)
        return self._store.rows(np.asarray(ids) % len(self._pixels)).to(self.device)

    def frames(self, ids: Ids) -> UInt8[Tensor, "n 3 f f"]:
        """The same images for display: RGB in 0..255, in the resolution in which they are stored."""
        return self._pixels.frames(ids)

    def content(self, ids: Ids) -> str:
        """SHA-256 of the stored pixels of these images, in hexadecimal."""
        return self._pixels.content(ids)

    def warped(
        self, ids: ArrayIds, transforms: Transforms, colors: ColorMaps | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """The model's input under an affine transform and a linear color map per image; see `Pixels.warp`."""
        return self._pixels.warp(ids, transforms, colors)

    def changed(
        self, ids: ArrayIds, changes: Transforms | ArrayIds, colors: ColorMaps | None = None
    ) -> Float[Tensor, "n ..."]:
        """The model's input for changed images.

        Args:
            ids: of the images.
            changes: their affine transforms; of a frozen trunk, the numbers of their stored views.
            colors: linear color maps.
        """
        if self._store is None:
            return self.warped(ids, changes, colors)
        return self._store.rows(ids, changes).to(self.device)

    @property
    def capturable(self) -> bool:
        """Whether a training step of a `DeviceTask` can be captured in a CUDA graph.

        It reads nothing that is not in the device's memory, and the shapes of what it computes depend on no value.
        """
        return self._pixels.resident if self._store is None else self._store.resident

    @property
    def reads_images(self) -> bool:
        """Whether the model sees images, and not rows that a frozen trunk gave for them."""
        return self._store is None

    def repeated(self) -> UnlabeledTask[Raw, Target]:
        """This task with an endless pool: id i is image i modulo the number of images. For timing large pools."""
        endless = copy.copy(self)
        endless._pixels = self._pixels.repeated()  # noqa: SLF001 - of its own class
        return endless

    @property
    def size(self) -> int:
        """Side of the model's square input, in pixels."""
        return self._pixels.size

    @property
    def device(self) -> torch.device:
        """The device on which images and targets are stored."""
        return self._pixels.device

    @abstractmethod
    def posteriors(self, raw: Raw) -> Posteriors:
        """The raw output as distributions; differentiable."""

    @abstractmethod
    def losses(self, raw: Raw, targets: Target) -> Float[Tensor, " n"]:
        """The training loss of each image: not reduced, and independent of the other images of the batch."""

    @abstractmethod
    def pseudo_targets(self, raw: Raw) -> Target:
        """The model's prediction in the form of a target, for `losses`."""

    @abstractmethod
    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """One vector per image, for strategies that compare images by distance."""


class Task(ABC, Generic[Raw, Target]):
    """A recognition task with its labels."""

    metric: Metric
    settings: TaskSettings
    """The protocol's `task` table: with the labels and the initial weights, all that determines a trained model."""
    stress: Stress = CLEAN
    """What was changed in the labels or the pool to make the task harder."""
    unlabeled: UnlabeledTask[Raw, Target]
    """The part of the task that strategies see."""
    pool_size: int
    test_size: int
    annotations: NDArray[Any]
    """The label of every image, indexed by id. `targets` and the metrics must read labels from here and nowhere else."""
    group_names: tuple[str, ...]
    fingerprints: Mapping[str, str] = {}
    """SHA-256 of the names, labels and weights from which the task was built, by name; recorded with every run.

    Those of data sets whose images are files of their own leave out the pixels."""

    @property
    def recipe(self) -> Recipe:
        """How the model is trained."""
        return self.settings.recipe

    @property
    def test_ids(self) -> Ids:
        """The ids of the test images."""
        return np.arange(self.pool_size, self.pool_size + self.test_size)

    @abstractmethod
    def build_model(self) -> TapModel:
        """An untrained model, or one with the protocol's pretrained weights. Initialized by torch's global generator."""

    def pretrained_model(self) -> TapModel:
        """A model whose embeddings say something before it is trained: those of its pretrained trunk.

        Raises:
            DataError: the protocol's model starts from random weights.
        """
        msg = "the model starts from random weights, whose embeddings say nothing about images"
        raise DataError(msg, 'use a model with pretrained weights, or budget.first = "random"')

    @abstractmethod
    def targets(self, ids: Ids) -> Target:
        """The targets of images that are not augmented."""

    @abstractmethod
    def augmented(self, ids: Ids, rng: np.random.Generator) -> tuple[Float[Tensor, "n ..."], Target]:
        """Inputs of the model for randomly augmented images, and their targets. One method, because boxes and joints must move with the image."""

    @abstractmethod
    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:
        """The groups (class, classes present, pose cluster) to which labeled images belong, by their annotations.

        Args:
            ids: labeled images.
            reference: labeled images on which groups are fitted if the annotations do not name them (pose clusters).
        """

    def label_counts(self, ids: Ids) -> dict[str, int]:
        """For each name of a group the number of these images that are in it."""
        counts = self.groups(ids, ids).sum(0).tolist()
        return dict(zip(self.group_names, counts, strict=True))

    @abstractmethod
    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> NDArray[Any]:
        """Annotations with simulated annotation errors; `annotations` itself is not changed.

        Args:
            ids: whose annotations to return.
            share: the expected share of wrong labels, in [0, 1).
            rng: the only source of randomness.
        """

    @abstractmethod
    def categories(self, raw: Raw, ids: Ids) -> Int[Tensor, "n m"]:
        """The true category of each row of `posteriors(raw)`; -1 if there is none, as for an invisible joint."""

    @abstractmethod
    def predictions(self, raw: Raw) -> NDArray[Any]:
        """The model's prediction for each image, in the form of `annotations`. For drawing."""

    @abstractmethod
    def metrics(self, raws: Iterable[Raw], ids: Ids) -> dict[str, float]:
        """All metrics by name, `metric.name` among them.

        Args:
            raws: raw outputs (see `judged`) of all images of `ids`, in batches, in their order.
            ids: the images that are evaluated.
        """

    def judged(self, model: TapModel, ids: Ids, raw: Raw) -> Raw:  # noqa: ARG002
        """The raw output that `metrics` evaluates: `raw` itself, or its average with other views of the image (flip test)."""
        return raw


def as_annotations(entries: Sequence[object]) -> NDArray[Any]:
    """A list with one object per image, as an object array that ids can index."""
    annotations = np.empty(len(entries), dtype=object)
    for position, entry in enumerate(entries):
        annotations[position] = entry
    return annotations
