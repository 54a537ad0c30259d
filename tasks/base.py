"""The contract of a task: what a recognition problem owes the benchmark.

Dimension letters, used everywhere: n images, m rows (distributions) per image, k categories, d embedding size,
g groups, c h w channels, height and width.

A `UnlabeledTask` is what may be known of images without their labels: strategies get nothing else. A `Task` adds the labels,
and only the training loop and the evaluation hold one. `UnlabeledTask` and `Task` do not know `lossnet`: they share tensors.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from lossbench.errors import LossbenchError
from tasks.images.pixels import Pixels
from tasks.settings import CLEAN, Recipe, Stress, TaskSettings

Ids = NDArray[np.int64]
"""Positions of images: 0 up to the pool's size are the pool, the test images follow. Absolute, everywhere."""
Features = tuple[Tensor, ...]
"""What a model's head accepts."""
Raw = TypeVar("Raw")
"""What a model's head returns: a tensor, or a named tuple of tensors, with images along the first dimension."""
Target = TypeVar("Target")
"""What the loss compares `Raw` with, in the same form."""


class DataError(LossbenchError):
    """Data that cannot be used: one line that says what is wrong, where, and what to do."""


class Metric(NamedTuple):
    """The number by which a task is ranked."""

    name: str
    unit: str
    larger_is_better: bool = True


class Outputs(NamedTuple):
    """One forward pass: `taps` for loss prediction, `features` for the head, `raw` = head(*features)."""

    taps: tuple[Tensor, ...]
    features: Features
    raw: Any


class TapModel(nn.Module, ABC):
    """A model that shows its taps. `head` is all that lies between its features and its raw output."""

    head: nn.Module

    @abstractmethod
    def trunk(self, images: Float[Tensor, "n 3 h w"]) -> tuple[tuple[Tensor, ...], Features]:
        """The taps, each (n, c, h, w), and the features that the head accepts."""

    def placed(self, device: torch.device) -> TapModel:
        """This model, moved to the device, in the memory layout in which convolutions are fast."""
        return self.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stubs

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Outputs:
        """Taps, features and raw output of normalised images."""
        taps, features = self.trunk(images)
        return Outputs(taps, features, self.head(*features))


@dataclass(frozen=True, slots=True)
class Posteriors:
    """A prediction, of any task, as a set of m categorical distributions per image."""

    log_probs: Float[Tensor, "n m k"]
    """Nats; -inf where a probability is exactly zero."""
    weight: Float[Tensor, "n m"]
    """How much a row counts: at least 0, sums to 1 over the rows of an image."""
    context: Int[Tensor, "n m"]
    """What a row is about: a class, a joint."""
    grid: tuple[int, int] | None = None
    """Height and width, where the categories are the cells of a map, row by row."""

    def pooled(self, rows: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """One number per image from one number per row: their weighted mean. A row of weight 0 is never read."""
        return torch.where(self.weight == 0, 0.0, rows * self.weight).sum(1)  # a weight that is NaN stays visible


class UnlabeledTask(ABC, Generic[Raw, Target]):
    """What may be known of a task's images without their labels: pixels, and what a model's output means."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    def images(self, ids: Ids) -> Float[Tensor, "n 3 h w"]:
        """RGB images as the model sees them at test time: float32, normalised, not augmented."""
        return self._pixels.read(ids)

    def frames(self, ids: Ids) -> UInt8[Tensor, "n 3 f f"]:
        """The same images to look at, of the size in which they are held."""
        return self._pixels.frames(ids)

    def warped(
        self, ids: Ids, places: Float[np.ndarray, "n 2 3"], colors: Float[np.ndarray, "n 3 4"] | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """The same images under random maps of places and colors, as `Pixels.warp` describes them."""
        return self._pixels.warp(ids, places, colors)

    def repeated(self) -> UnlabeledTask[Raw, Target]:
        """The same reading of the same images over and over: any id from 0 on is one of them."""
        endless = copy.copy(self)
        endless._pixels = self._pixels.repeated()  # noqa: SLF001 - of its own class
        return endless

    @property
    def size(self) -> int:
        """Side of the model's input, in pixels."""
        return self._pixels.size

    @property
    def device(self) -> torch.device:
        """Where images and targets lie."""
        return self._pixels.device

    @abstractmethod
    def posteriors(self, raw: Raw) -> Posteriors:
        """The prediction as distributions; differentiable."""

    @abstractmethod
    def losses(self, raw: Raw, targets: Target) -> Float[Tensor, " n"]:
        """The training loss of every image, not reduced, independent of the rest of the batch."""

    @abstractmethod
    def pseudo_targets(self, raw: Raw) -> Target:
        """The model's own prediction in the form of a target."""

    @abstractmethod
    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """One vector per image, for strategies that measure distances."""


class Task(ABC, Generic[Raw, Target]):
    """A recognition task with its labels."""

    metric: ClassVar[Metric]
    settings: TaskSettings
    """All that decides what is trained, besides labels and weights: the protocol's `task` table."""
    stress: Stress = CLEAN
    """What was done to the labels."""
    unlabeled: UnlabeledTask[Raw, Target]
    pool_size: int
    test_size: int
    annotations: NDArray[Any]
    """One entry per image, in the order of `Ids`; `targets` and the metrics read labels from here only."""
    group_names: tuple[str, ...]
    fingerprints: Mapping[str, str] = {}
    """SHA-256 of what the task was built from besides this repository, by name."""

    @property
    def recipe(self) -> Recipe:
        """How its model is trained."""
        return self.settings.recipe

    @property
    def test_ids(self) -> Ids:
        """The test images: all that lie beyond the pool."""
        return np.arange(self.pool_size, self.pool_size + self.test_size)

    @abstractmethod
    def build_model(self) -> TapModel:
        """An untrained model, drawn from torch's global generator."""

    @abstractmethod
    def targets(self, ids: Ids) -> Target:
        """Labels as the loss wants them, for images that are not augmented."""

    @abstractmethod
    def augmented(self, ids: Ids, rng: np.random.Generator) -> tuple[Float[Tensor, "n 3 h w"], Target]:
        """Images and targets under the same random augmentation. Only together: boxes and joints move too."""

    @abstractmethod
    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:
        """Which groups (classes, classes present, pose clusters) labeled images belong to.

        `reference` are labeled images from which groups are learned where they are not given: pose clusters.
        """

    @abstractmethod
    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> NDArray[Any]:
        """The annotations of these images, a share of the labels wrong as annotators of such a task are wrong.

        A function of the ids, the share and the generator's state; the task itself is not changed.
        """

    @abstractmethod
    def categories(self, raw: Raw, ids: Ids) -> Int[Tensor, "n m"]:
        """The true category of each row of the posteriors; -1 where there is none: a joint that is not visible."""

    @abstractmethod
    def predictions(self, raw: Raw) -> NDArray[Any]:
        """What the model would answer for each image, in the form of `annotations`: to be drawn."""

    @abstractmethod
    def metrics(self, raws: Iterable[Raw], ids: Ids) -> dict[str, float]:
        """Metrics, `metric.name` among them, of the judged outputs of these images, which arrive in batches, in order."""

    def judged(self, model: TapModel, ids: Ids, raw: Raw) -> Raw:  # noqa: ARG002
        """What the metrics judge: `raw` itself, unless a task tests with more than one view of an image."""
        return raw


def require(condition: object, message: str) -> None:
    """Raise a DataError with this message unless the condition holds."""
    if not condition:
        raise DataError(message)


def existing(path: Path, what: str) -> Path:
    """The path itself, or a DataError that says what is missing where."""
    require(path.exists(), f"{what} not found: {path}; give the folder that holds it with --data DIR")
    return path


def as_annotations(entries: Sequence[object]) -> NDArray[Any]:
    """One object per image, as an array that ids index."""
    annotations = np.empty(len(entries), dtype=object)
    for position, entry in enumerate(entries):
        annotations[position] = entry
    return annotations
