"""What stands behind the scores of runs: lossnet's predictions, calibration, picks, seconds. Pictures and numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats
from torchvision.transforms.v2.functional import InterpolationMode, to_pil_image

from leaderboard.schema.records import Record, RecordError
from leaderboard.scoring.entries import FULL_POOL, Key
from leaderboard.site.tables import number
from lossbench.config import ConfigError, Protocol, validated
from lossbench.paths import Paths
from lossbench.running.loop import Run
from lossnet import ranking_accuracy
from strategies import Strategy, load_strategy
from tasks.base import Ids, Task
from tasks.images.drawing import cell, grid
from tasks.kinds import build_task, kind_named
from tasks.training.clock import Clock
from tasks.training.learner import Learner

BINS = 10
"""Of confidence, equally wide."""
COLUMNS = 12


class Bin(NamedTuple):
    """Predictions of similar confidence."""

    confidence: float
    """Their mean."""
    right: float
    """The share of them that are right."""
    share: float
    """Of all predictions."""


@dataclass(frozen=True)
class Examined:
    """The model of one round of a run, seen on the held-out images."""

    labeled: int
    losses: NDArray[np.float64]
    """(n,) under the true labels."""
    predicted: NDArray[np.float64] | None
    """(n,) by lossnet; None where none was trained."""
    bins: tuple[Bin, ...]

    @property
    def ranking(self) -> float:
        """The share of pairs of images that lossnet orders as their losses do; NaN without one."""
        if self.predicted is None:
            return float("nan")
        return ranking_accuracy(torch.from_numpy(self.predicted), torch.from_numpy(self.losses))

    @property
    def correlation(self) -> float:
        """Spearman's, of predicted and true losses; NaN without a lossnet."""
        if self.predicted is None:
            return float("nan")
        return float(np.corrcoef(stats.rankdata(self.predicted), stats.rankdata(self.losses))[0, 1])

    @property
    def calibration_error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): the mean distance of confidence and share right."""
        return sum(each.share * abs(each.confidence - each.right) for each in self.bins)


@dataclass(frozen=True)
class Diagnosis:
    """A run, round by round."""

    record: Record
    rounds: tuple[Examined, ...]
    picks: Any
    """(3, h, w) uint8: what was picked first, one round a row, labels drawn in."""

    @property
    def faithful(self) -> bool:
        """Whether the models score as the record says: where weights had to be trained anew, rounding may change them."""
        pairs = zip(self.rounds, self.record.rounds, strict=True)
        return all(math.isclose(one.losses.mean(), scored.metrics["loss"], rel_tol=1e-4) for one, scored in pairs)

    @property
    def name(self) -> str:
        """Of the run, in legends."""
        return f"{self.record.strategy}, seed {self.record.seed}"

    @property
    def file_name(self) -> str:
        """Of the run's own pictures, after what they show."""
        key = Key.of(self.record)
        return f"{key.protocol}-p{key.version}-{key.track}-{key.split}-{self.record.strategy}-s{self.record.seed}.png"


def diagnose(records: Sequence[Record], paths: Paths, files: Sequence[Path] = ()) -> Iterator[Diagnosis]:
    """Each run; models are read from `paths.out`, or trained anew where they are not there.

    Args:
        records: the runs.
        paths: where data, models and caches lie.
        files: of strategies that are not Lossbench's.

    Raises:
        RecordError: in none of the runs was anything selected; trainings on the full pool are left out.
        StrategyError: a record of a strategy that is neither one of Lossbench's nor in the files.
        ConfigError: a record of a protocol that this version does not know, or of other data.
    """
    records = [each for each in records if each.strategy != FULL_POOL and each.rounds]
    if not records:
        msg = "nothing was selected in these runs; name other records"
        raise RecordError(msg)
    outside = {load_strategy(str(file)).name: str(file) for file in files}

    def strategy(record: Record) -> Strategy:
        return load_strategy(outside.get(record.strategy, record.strategy), record.strategy_config)

    for record in records:
        strategy(record)  # a name that is not known is told before anything is built
    task, built = None, ""
    for record in sorted(records, key=lambda each: json.dumps(each.config, sort_keys=True)):
        protocol = validated(Protocol, dict(record.config), f"the config of {record.protocol}'s record")
        if task is None or built != protocol.task.model_dump_json():
            task = build_task(protocol.task, paths.data, paths.out / "cache", torch.device(paths.device))
            built = protocol.task.model_dump_json()
        for name in ("data", "pool", "test"):
            if record.fingerprints.get(name) != task.fingerprints.get(name):
                msg = f"{record.protocol}, {record.strategy}, seed {record.seed}: was made with other data than {paths.data} holds"
                raise ConfigError(msg)
        models = paths.out / "models"
        run = Run(task, protocol, strategy(record), record.seed, record.track, record.split, models)
        yield _diagnosis(record, run)


def _diagnosis(record: Record, run: Run) -> Diagnosis:
    rounds = []
    for place, one in enumerate(record.rounds):
        learners, _ = run.committee(run.labeled(record.rounds[:place]), Clock(run.task.unlabeled.device), 1)
        rounds.append(examined(run.task, learners[0], run.held_out, one.labeled))
    return Diagnosis(record, tuple(rounds), first_picks(run.task, record))


def examined(task: Task[Any, Any], learner: Learner, ids: Ids, labeled: int) -> Examined:
    """A model on held-out images."""
    losses, predicted, tops = [], [], []
    for part, outputs in learner.batches(ids):
        losses.append(task.unlabeled.losses(outputs.raw, task.targets(part)))
        if learner.lossnet is not None:
            with torch.no_grad():
                predicted.append(learner.lossnet(outputs.taps))
        posteriors = task.unlabeled.posteriors(outputs.raw)
        highest, category = posteriors.log_probs.max(2)
        truth = task.categories(outputs.raw, part)
        weight = torch.where(truth >= 0, posteriors.weight, 0.0)
        tops.append(torch.stack([highest.exp(), (category == truth).to(highest), weight], 2).flatten(0, 1).cpu())
    confidence, right, weight = torch.cat(tops).double().unbind(1)
    return Examined(
        labeled,
        torch.cat(losses).double().cpu().numpy(),
        torch.cat(predicted).double().cpu().numpy() if predicted else None,
        binned(confidence.numpy(), right.numpy(), weight.numpy()),
    )


def binned(confidence: NDArray[np.float64], right: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[Bin, ...]:
    """Predictions by their confidence in [0, 1]; bins of no weight are left out."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    total = weight.sum()
    sums = [np.bincount(place, weight * values, BINS) for values in (np.ones_like(weight), confidence, right)]
    return tuple(
        Bin(mean / mass, hits / mass, mass / total) for mass, mean, hits in zip(*sums, strict=True) if mass > 0
    )


def first_picks(task: Task[Any, Any], record: Record) -> torch.Tensor:
    """(3, h, w) uint8: the first picks of every round, a round a row, with the true labels drawn in."""
    rows = [np.array(one.picked[:COLUMNS], dtype=np.int64) for one in record.rounds if one.picked]
    shown = [drawn(task, int(image)) for row in rows for image in row]
    return grid(shown, min(COLUMNS, max((len(row) for row in rows), default=1)))


def drawn(task: Task[Any, Any], image: int) -> torch.Tensor:
    """(3, c, c) uint8: an image with its label."""
    shown = cell(task.unlabeled.frames(np.array([image]))[0].cpu(), InterpolationMode.BILINEAR)
    return kind_named(task.settings.kind).draw(shown, task.annotations[image], task.group_names)


def save_picks(found: Diagnosis, folder: Path) -> Path:
    """Write the contact sheet of a run as PNG."""
    path = folder / f"picks-{found.file_name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    to_pil_image(found.picks).save(path)
    return path


def summary(found: Sequence[Diagnosis]) -> Table:
    """The numbers, a row per run and round."""
    table = Table(
        "task", "run", "labels", "score", "ranking", "Spearman", "calibration error", title="On held-out images"
    )
    if not all(each.faithful for each in found):
        table.caption = (
            "* trained anew, as the models were not at hand, and not to the same weights: the score is the record's"
        )
    for each in found:
        for one, scored in zip(each.rounds, each.record.rounds, strict=True):
            numbers = (scored.metrics[each.record.metric.name], one.ranking, one.correlation, one.calibration_error)
            name = each.name if each.faithful else f"{each.name} *"
            table.add_row(each.record.protocol, name, f"{one.labeled:,}", *(number(value, 3) for value in numbers))
    return table
