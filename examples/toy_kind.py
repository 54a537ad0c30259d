"""A kind of task in one file: how many dots does an image show, zero to four?

The answer is ordinal. The model therefore answers four questions, "more than 0 dots?" to "more than 3 dots?" (Frank & Hall
2001), and an image has four rows of two categories, no and yes. The images are drawn here; no file is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.base import Features, Ids, Metric, Outputs, Posteriors, TapModel, Task, UnlabeledTask
from tasks.images.augment import flips
from tasks.images.drawing import draw_class
from tasks.images.pixels import Pixels, on_device
from tasks.kind import NOT_NEGATIVE, SHARE, Bounds, TaskKind
from tasks.settings import DataSource, TaskSettings
from tasks.tiny import TINY_RECIPE

PIXELS, MOST_DOTS = 16, 4


class DotData(DataSource):
    """How many images to draw."""

    pool: int = Field(ge=1)
    test: int = Field(ge=1)


class DotSettings(TaskSettings):
    """The `task` table of a protocol of this kind."""

    kind: Literal["dots"]
    data: DotData


def draw_dots(counts: Int[np.ndarray, " n"], rng: np.random.Generator) -> UInt8[np.ndarray, "n 3 s s"]:
    """Noisy images with bright dots, at most one in each cell of a 4 x 4 grid."""
    cells = rng.random((len(counts), 16)).argsort(1) < counts[:, None]
    dots = np.kron(cells.reshape(-1, 1, 4, 4), np.pad(np.ones((2, 2)), 1))
    return np.where(dots > 0, 255, rng.integers(0, 100, (len(counts), 3, PIXELS, PIXELS))).astype(np.uint8)


class DotModel(TapModel):
    """Two convolutions, which are the taps, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(16, MOST_DOTS)

    def trunk(self, images: Float[Tensor, "n 3 h w"]) -> tuple[tuple[Tensor, ...], Features]:
        """Both maps, and the spatial mean of the second."""
        first = self.first(images)
        second = self.second(first)
        return (first, second), (second.mean((2, 3)),)


class UnlabeledDots(UnlabeledTask[Tensor, Tensor]):
    """Raw output: the logit of each question. Target: 1 where the answer is yes, else 0."""

    def posteriors(self, raw: Float[Tensor, "n m"]) -> Posteriors:
        """One row per question, over no and yes; all questions have the same weight."""
        log_probs = torch.stack([functional.logsigmoid(-raw), functional.logsigmoid(raw)], 2)
        context = torch.arange(MOST_DOTS, device=raw.device).expand(raw.shape)
        return Posteriors(log_probs, torch.full_like(raw, 1 / MOST_DOTS), context)

    def losses(self, raw: Float[Tensor, "n m"], targets: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """Binary cross-entropy, summed over the questions."""
        return functional.binary_cross_entropy_with_logits(raw, targets, reduction="none").sum(1)

    def pseudo_targets(self, raw: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """The more probable answers."""
        return (raw > 0).to(raw)

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The features."""
        return outputs.features[0]


class DotTask(Task[Tensor, Tensor]):
    """Counts dots; an annotation is their number."""

    metric = Metric("MAE", "dots", larger_is_better=False)

    def __init__(self, settings: DotSettings, device: torch.device) -> None:
        rng = np.random.default_rng(0)
        self.settings, self.pool_size, self.test_size = settings, settings.data.pool, settings.data.test
        self.annotations = rng.integers(0, MOST_DOTS + 1, self.pool_size + self.test_size)
        self.group_names = tuple(f"{count} dots" for count in range(MOST_DOTS + 1))
        self.unlabeled = UnlabeledDots(Pixels(torch.from_numpy(draw_dots(self.annotations, rng)).to(device), PIXELS))

    def build_model(self) -> DotModel:
        """An untrained model."""
        return DotModel()

    def targets(self, ids: Ids) -> Float[Tensor, "n m"]:
        """The answers to all questions."""
        return on_device(self.annotations[ids][:, None] > np.arange(MOST_DOTS), self.unlabeled.device).float()

    def augmented(self, ids: Ids, rng: np.random.Generator) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n m"]]:
        """Horizontal flips, which do not change the number of dots."""
        return self.unlabeled.warped(ids, flips(rng, len(ids))), self.targets(ids)

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:  # noqa: ARG002 - numbers need no fitting
        """The number of dots, one-hot."""
        return torch.from_numpy(self.annotations[ids][:, None] == np.arange(MOST_DOTS + 1))

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
        """One dot too few; one dot where there is none."""
        return np.where(rng.random(len(ids)) < share, np.abs(self.annotations[ids] - 1), self.annotations[ids])

    def categories(self, raw: Float[Tensor, "n m"], ids: Ids) -> Int[Tensor, "n m"]:  # noqa: ARG002
        """The answers as category numbers: 0 is no, 1 is yes."""
        return self.targets(ids).long()

    def predictions(self, raw: Float[Tensor, "n m"]) -> Int[np.ndarray, " n"]:
        """The number of questions answered with yes."""
        return (raw > 0).sum(1).cpu().numpy()

    def metrics(self, raws: Iterable[Float[Tensor, "_ m"]], ids: Ids) -> dict[str, float]:
        """The mean absolute error, and the share of exact counts."""
        errors = np.concatenate([self.predictions(raw) for raw in raws]) - self.annotations[ids]
        return {"MAE": float(np.abs(errors).mean()), "exact": float((errors == 0).mean())}


class Dots(TaskKind[DotSettings]):
    """Counting dots."""

    name = "dots"
    settings = DotSettings
    tiny: ClassVar[Mapping[str, Any]] = {"data": {"pool": 60, "test": 24, "validation": 12}, "recipe": TINY_RECIPE}
    bounds: ClassVar[Mapping[str, Bounds]] = {"MAE": Bounds(0, MOST_DOTS), "exact": SHARE, "loss": NOT_NEGATIVE}
    one_group = True

    def pool_size(self, settings: DotSettings) -> int:
        """As many as the settings say."""
        return settings.data.pool

    def build(self, settings: DotSettings, data: Path, cache: Path, device: torch.device) -> DotTask:  # noqa: ARG002
        """Draw the images; neither folder is needed."""
        return DotTask(settings, device)

    def draw(self, image: UInt8[Tensor, "3 c c"], annotation: Any, group_names: tuple[str, ...]) -> Tensor:
        """Write the number of dots."""
        return draw_class(image, int(annotation), group_names)
