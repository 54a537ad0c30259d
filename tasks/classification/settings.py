"""Settings of classification protocols."""

from __future__ import annotations

from typing import Literal

from tasks.models.settings import ClassifierSettings, LibrarySettings
from tasks.settings import TaskSettings


class ClassificationSettings(TaskSettings):
    """The `task` table of a classification protocol: CIFAR-10 or rendered scenes."""

    kind: Literal["classification"]
    model: ClassifierSettings

    @property
    def freezes(self) -> bool:
        """Whether the model's trunk is frozen."""
        return isinstance(self.model, LibrarySettings) and self.model.freeze

    @property
    def stored_views(self) -> int:
        """How many views of each image a frozen trunk sees."""
        return 2 if isinstance(self.model, LibrarySettings) and self.model.mirrored else 1
