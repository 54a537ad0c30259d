"""Settings of classification protocols."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tasks.models.settings import ClassifierSettings, stored_views
from tasks.settings import DataSource, FileName, Number, TaskSettings


class ClassificationData(DataSource):
    """Where images and classes come from: one of the forms below, or CIFAR-10 in its official files. Paths start in --data."""

    forms: ClassVar[tuple[str, ...]] = ("scenes", "labeled", "folder", "table", "torchvision")

    folder: FileName | None = Field(default=None, exclude_if=lambda folder: folder is None)
    """Holds `train/CLASS/` and `test/CLASS/`, or `CLASS/` alone, with image files."""
    table: FileName | None = Field(default=None, exclude_if=lambda table: table is None)
    """A CSV or Parquet file with the columns `path` (from its folder), `label` and, if there is a split, `split`: train or test."""
    torchvision: FileName | None = Field(default=None, exclude_if=lambda name: name is None)
    """The name of a data set of torchvision, such as SVHN, below the folder `torchvision`."""
    test: Number = Field(default=0.2, gt=0, lt=1, exclude_if=lambda share: share == 0.2)  # noqa: PLR2004 - the default
    """Share of the images of each class that is kept for testing, where the data has no split."""

    @property
    def is_cifar10(self) -> bool:
        """Whether the images are those of CIFAR-10's official files."""
        return not any(getattr(self, form) for form in self.forms)


class ClassificationSettings(TaskSettings):
    """The `task` table of a classification protocol."""

    kind: Literal["classification"]
    data: ClassificationData
    model: ClassifierSettings

    @property
    def stored_views(self) -> int:
        """How many views of each image a frozen trunk sees."""
        return stored_views(self.model)
