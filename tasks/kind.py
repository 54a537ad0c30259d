"""The contract of a kind of task: all that one kind, such as detection, brings to the benchmark."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from tasks.settings import TaskSettings

if TYPE_CHECKING:  # torch takes a second to import, and a list of kinds needs none of it
    import torch
    from jaxtyping import UInt8
    from torch import Tensor

    from tasks.base import Task

S = TypeVar("S", bound=TaskSettings)


class TaskKind(ABC, Generic[S]):
    """One kind of task. It holds no state; heavy imports stand inside its methods.

    A kind of Lossbench is a folder in `tasks/` and an entry of `tasks.kinds.KINDS`. A kind from outside is a Python file
    with one subclass of this class: `lossbench --kind-file FILE`.
    """

    name: ClassVar[str]
    """The `kind` of a protocol's `task` table: lower case, hyphens."""
    settings: ClassVar[type[TaskSettings]]
    """The form of that table."""
    tiny: ClassVar[Mapping[str, Any]]
    """A `task` table, without `kind`, that is built and trained in seconds and needs no file: the conformance checks run on it.

    Its pool has at least 60 images, of which 12 are held out for validation.
    """

    @abstractmethod
    def build(self, settings: S, data: Path, cache: Path, device: torch.device) -> Task[Any, Any]:
        """A task with its images at hand.

        Args:
            settings: the protocol's `task` table.
            data: the folder that holds the real data sets.
            cache: the folder for rendered scenes and pre-trained weights.
            device: where images and models lie.

        Raises:
            DataError: what the task needs is missing or damaged.
        """

    @abstractmethod
    def draw(
        self, image: UInt8[Tensor, "3 c c"], annotation: Any, group_names: tuple[str, ...]
    ) -> UInt8[Tensor, "3 c c"]:
        """The image with one annotation drawn in: a label of `Task.annotations`, or a prediction of `Task.predictions`."""

    def draw_scene(self, seed: int, index: int) -> UInt8[Tensor, "3 c c"] | None:  # noqa: ARG002
        """A rendered pool image with its labels; None for a kind that renders no scenes.

        Args:
            seed: of the scenes, `task.data.scenes.seed`.
            index: position of the image in the pool.
        """
        return None
