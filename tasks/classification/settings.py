"""Settings of classification protocols."""

from __future__ import annotations

from typing import Literal

from tasks.models.settings import ClassifierSettings
from tasks.settings import TaskSettings


class ClassificationSettings(TaskSettings):
    """The `task` table of a classification protocol: CIFAR-10 or rendered scenes."""

    kind: Literal["classification"]
    model: ClassifierSettings
