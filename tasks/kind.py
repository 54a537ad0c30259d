"""The contract of a kind of task: all that one kind, such as detection, brings to the benchmark."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from tasks.datasets.tools.annotated import AnnotatedImage, Shape
from tasks.settings import TaskSettings

if TYPE_CHECKING:  # torch takes a second to import, and listing the kinds does not need it
    import torch
    from jaxtyping import UInt8
    from torch import Tensor

    from tasks.base import Task

S = TypeVar("S", bound=TaskSettings)


class Bounds(NamedTuple):
    """The values that a metric can have, both ends included."""

    lowest: float
    highest: float


SHARE = Bounds(0.0, 1.0)
"""Of a metric that is a share or a mean of shares."""
NOT_NEGATIVE = Bounds(0.0, math.inf)


class TaskKind(ABC, Generic[S]):
    """One kind of task: its settings, how to build a task from them, a tiny example, and how to draw labels.

    To add a kind in one file, outside the repository, write five classes; `examples/toy_kind.py` shows all of them:

    1. Settings: a subclass of `tasks.settings.TaskSettings` with `kind: Literal["your-kind"]` and the numbers that a
       protocol sets. Images that are held in memory are described by a subclass of `DataSource`.
    2. Model: a subclass of `tasks.base.TapModel`. `trunk` returns the taps and the features; `head` does the rest.
    3. UnlabeledTask: a subclass of `tasks.base.UnlabeledTask`: `posteriors`, `losses`, `pseudo_targets`, `embed`.
    4. Task: a subclass of `tasks.base.Task`: labels, targets, augmentation, groups, label noise, metrics.
    5. Kind: a subclass of this class, the only one in the file. It is created without arguments and holds no state.

    Load it with `tasks.kinds.load_kind_file`, or with `lossbench run PROTOCOL --kind-file FILE`. A protocol then names
    it: `[task] kind = "your-kind"`. Worker processes load the same file. `lossbench.submissions.conformance.CHECKS` run
    on `tiny`, and any strategy runs on the kind unchanged.

    A kind of Lossbench itself is a folder `tasks/KIND/` (`settings.py`, `task.py`, `losses.py`, `metrics.py`,
    `label_noise.py`, `kind.py`) and an entry of `tasks.kinds.KINDS`. Its `kind.py` imports torch inside methods only, so
    that the command line starts fast.
    """

    name: ClassVar[str]
    """The value of `kind` in a protocol's `task` table: lower-case letters, digits and hyphens."""
    settings: ClassVar[type[TaskSettings]]
    """The class of that table."""
    tiny: ClassVar[Mapping[str, Any]]
    """A `task` table, without `kind`, that needs no files and trains in seconds. The conformance checks run on it.

    Its pool must have at least 60 images, of which `data.validation` holds out 12. It has a `recipe` table.
    """

    bounds: ClassVar[Mapping[str, Bounds]] = {}
    """The bounds of the metrics that `Task.metrics` gives, and of `loss`, by name. Records beyond them are refused."""
    one_group: ClassVar[bool] = False
    """Whether every image is in exactly one of the groups of `Task.groups`."""

    shape: ClassVar[Shape | None] = None
    """Which labels of an annotation tool it is trained on; None if `lossbench pick` cannot be used with it."""

    def pool_size(self, settings: S) -> int | None:
        """The number of pool images, where the settings tell it without a look at the data; None where they do not."""
        return settings.data.scenes.pool if settings.data.scenes else None

    @abstractmethod
    def build(self, settings: S, data: Path, cache: Path, device: torch.device) -> Task[Any, Any]:
        """Load the data and return the task.

        Args:
            settings: the protocol's `task` table.
            data: the folder of the real data sets.
            cache: a folder for files that the task makes: rendered scenes, pretrained weights.
            device: where images, targets and models are to be stored.

        Raises:
            DataError: a file is missing or damaged.
        """

    def as_labels(
        self, prediction: Any, file: str, size: tuple[int, int], group_names: tuple[str, ...]
    ) -> AnnotatedImage:
        """A prediction in the form of `shape`, for annotation tools.

        Args:
            prediction: an entry of the result of `Task.predictions`, for an image of a labeled folder.
            file: name of the image.
            size: its width and height in pixels.
            group_names: of the task.
        """
        raise NotImplementedError

    @abstractmethod
    def draw(
        self, image: UInt8[Tensor, "3 c c"], annotation: Any, group_names: tuple[str, ...]
    ) -> UInt8[Tensor, "3 c c"]:
        """Draw a label or a prediction into an image.

        Args:
            image: RGB, `tasks.images.drawing.CELL_PIXELS` wide and high.
            annotation: an entry of `Task.annotations` or of the result of `Task.predictions`.
            group_names: of the task.
        """

    def draw_scene(self, seed: int, index: int) -> UInt8[Tensor, "3 c c"] | None:  # noqa: ARG002
        """A rendered pool image with its label drawn in; None if the kind has no renderer.

        Args:
            seed: the protocol's `task.data.scenes.seed`.
            index: the image's id.
        """
        return None
