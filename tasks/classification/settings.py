"""Settings of classification protocols."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tasks.models.settings import ClassifierSettings, LibrarySettings
from tasks.settings import DataSource, FileName, Number, TaskSettings

FORMS = ("scenes", "labeled", "folder", "table", "torchvision")


class ClassificationData(DataSource):
    """Where images and classes come from: one of the forms below, or CIFAR-10 in its official files. Paths start in --data."""

    folder: FileName | None = Field(default=None, exclude_if=lambda folder: folder is None)
    """Holds `train/CLASS/` and `test/CLASS/`, or `CLASS/` alone, with image files."""
    table: FileName | None = Field(default=None, exclude_if=lambda table: table is None)
    """A CSV or Parquet file with the columns `path` (from its folder), `label` and, if there is a split, `split`: train or test."""
    torchvision: FileName | None = Field(default=None, exclude_if=lambda name: name is None)
    """The name of a data set of torchvision, such as SVHN, below the folder `torchvision`."""
    test: Number = Field(default=0.2, gt=0, lt=1, exclude_if=lambda share: share == 0.2)  # noqa: PLR2004 - the default
    """Share of the images of each class that is kept for testing, where the data has no split."""

    @model_validator(mode="after")
    def _one_form(self) -> ClassificationData:
        given = [form for form in FORMS if getattr(self, form) is not None]
        if len(given) > 1:
            msg = f"{' and '.join(given)} are two sources of images; keep one"
            raise ValueError(msg)
        return self


class ClassificationSettings(TaskSettings):
    """The `task` table of a classification protocol."""

    kind: Literal["classification"]
    data: ClassificationData
    model: ClassifierSettings

    @property
    def freezes(self) -> bool:
        """Whether the model's trunk is frozen."""
        return isinstance(self.model, LibrarySettings) and self.model.freeze

    @property
    def stored_views(self) -> int:
        """How many views of each image a frozen trunk sees."""
        return 2 if isinstance(self.model, LibrarySettings) and self.model.mirrored else 1
