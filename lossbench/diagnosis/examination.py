"""Evaluates the models of finished runs again: predicted losses, calibration, picks and predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from leaderboard.schema.records import Record, RecordError, Round
from leaderboard.scoring.entries import FULL_POOL, Key
from leaderboard.site.tables import number
from lossbench.config import ConfigError, Protocol, validated
from lossbench.diagnosis.contact_sheets import picks_sheet, predictions_sheet
from lossbench.paths import Paths
from lossbench.running.loop import Run
from lossnet import ranking_accuracy
from strategies import Strategy, load_strategy
from tasks.base import Ids, Task
from tasks.kinds import build_task
from tasks.training.clock import Clock
from tasks.training.learner import Learner

BIN_COUNT = 10
"""Bins of equal width over the confidences [0, 1]."""


class ConfidenceBin(NamedTuple):
    """Predictions of similar confidence."""

    confidence: float
    """Mean confidence."""
    accuracy: float
    """Share of the predictions that are right."""
    share: float
    """Share of all predictions that lie in this bin."""


@dataclass(frozen=True)
class Examination:
    """The model of one round of a run, evaluated on the held-out images."""

    labeled: int
    """Number of labeled images."""
    losses: NDArray[np.float64]
    """(n,) losses under the true labels."""
    predicted: NDArray[np.float64] | None
    """(n,) losses predicted by lossnet; None if the run trained no lossnet."""
    bins: tuple[ConfidenceBin, ...]
    """The bins that contain predictions."""

    @property
    def ranking_accuracy(self) -> float:
        """Share of the pairs of images that lossnet ranks in the order of their losses; NaN without a lossnet."""
        if self.predicted is None:
            return float("nan")
        return ranking_accuracy(torch.from_numpy(self.predicted), torch.from_numpy(self.losses))

    @property
    def rank_correlation(self) -> float:
        """Spearman's rank correlation of predicted and true losses; NaN without a lossnet."""
        if self.predicted is None:
            return float("nan")
        return float(np.corrcoef(stats.rankdata(self.predicted), stats.rankdata(self.losses))[0, 1])

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the mean distance between confidence and accuracy (Naeini et al. 2015)."""
        return sum(one.share * abs(one.confidence - one.accuracy) for one in self.bins)


@dataclass(frozen=True)
class Diagnosis:
    """The models and picks of one run."""

    record: Record
    rounds: tuple[Examination, ...]
    """One for each round of the record."""
    picks: UInt8[Tensor, "3 h w"]
    """The first picks of every round with their true labels; one row per round."""
    predictions: UInt8[Tensor, "3 h w"]
    """Held-out images with their true labels, and below them with the predictions of the last round's model."""

    @property
    def matches_record(self) -> bool:
        """Whether the models' losses are those of the record; a model that had to be trained again may differ by rounding."""
        pairs = zip(self.rounds, self.record.rounds, strict=True)
        return all(math.isclose(one.losses.mean(), saved.metrics["loss"], rel_tol=1e-4) for one, saved in pairs)

    @property
    def label(self) -> str:
        """The run in legends and tables: strategy and seed."""
        return f"{self.record.strategy}, seed {self.record.seed}"

    @property
    def file_name(self) -> str:
        """The end of the file names of the run's pictures."""
        key = Key.of(self.record)
        return f"{key.protocol}-p{key.version}-{key.track}-{key.split}-{self.record.strategy}-s{self.record.seed}.png"

    def save_contact_sheets(self, folder: Path) -> list[Path]:
        """Write the pictures of picks and predictions as PNG files.

        Returns:
            The paths of the files.
        """
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, sheet in (("picks", self.picks), ("predictions", self.predictions)):
            paths.append(folder / f"{name}-{self.file_name}")
            to_pil_image(sheet).save(paths[-1])
        return paths


def diagnose(records: Sequence[Record], paths: Paths, strategy_files: Sequence[Path] = ()) -> Iterator[Diagnosis]:
    """Evaluate the models of each run again, on the images on which the record's metrics were measured.

    Arguments and errors as for `runs_of`; models that are missing from `paths.out` are trained again.
    """
    for record, run in runs_of(records, paths, strategy_files):
        yield _diagnose_run(record, run)


def runs_of(
    records: Sequence[Record], paths: Paths, strategy_files: Sequence[Path] = ()
) -> Iterator[tuple[Record, Run]]:
    """The runs of records, with their tasks, those of one protocol together.

    Args:
        records: the runs. Runs without a selection, such as trainings on the full pool, are left out.
        paths: folders and device.
        strategy_files: files of strategies that are not part of Lossbench.

    Raises:
        RecordError: no run has a selection.
        StrategyError: the strategy of a record is neither part of Lossbench nor in `strategy_files`.
        ConfigError: the protocol of a record does not fit this version, or the data differs from the record's.
    """
    records = [record for record in records if record.strategy != FULL_POOL and record.rounds]
    if not records:
        msg = "none of these runs selected images; give records of other runs"
        raise RecordError(msg)
    references = {load_strategy(str(path)).name: str(path) for path in strategy_files}
    strategies = [_load_strategy(record, references) for record in records]  # before tasks are built, which takes long
    runs = zip(records, strategies, strict=True)
    task, built = None, ""
    for record, strategy in sorted(runs, key=lambda run: json.dumps(run[0].config, sort_keys=True)):
        protocol = validated(Protocol, dict(record.config), f"the config of {record.protocol}'s record")
        settings = protocol.task.model_dump_json()
        if task is None or built != settings:
            task, built = (
                build_task(protocol.task, paths.data, paths.out / "cache", torch.device(paths.device)),
                settings,
            )
        _require_same_data(record, task, paths)
        models = paths.out / "models"
        yield record, Run(task, protocol, strategy, record.seed, record.track, record.split, models, record.first)


def _load_strategy(record: Record, references: dict[str, str]) -> Strategy:
    return load_strategy(references.get(record.strategy, record.strategy), record.strategy_config)


def _require_same_data(record: Record, task: Task[Any, Any], paths: Paths) -> None:
    for name in ("data", "pool", "test"):
        if record.fingerprints.get(name) != task.fingerprints.get(name):
            msg = (
                f"{record.protocol}, {record.strategy}, seed {record.seed}: the record was made with other data than that "
                f"in {paths.data}; give the folder of its data with --data"
            )
            raise ConfigError(msg)


def _diagnose_run(record: Record, run: Run) -> Diagnosis:
    rounds = tuple(
        examine(run.task, _learner(run, record.rounds[:number]), run.held_out, one.labeled)
        for number, one in enumerate(record.rounds)
    )
    predictions = predictions_sheet(run.task, _learner(run, record.rounds[:-1]), run.held_out)
    return Diagnosis(record, rounds, picks_sheet(run.task, record), predictions)


def _learner(run: Run, done: Sequence[Round]) -> Learner:
    """The learner of the round after those that are done, read from its file or trained again."""
    (learner,), _ = run.committee(run.labeled(done), Clock(run.task.unlabeled.device), 1)
    return learner


def examine(task: Task[Any, Any], learner: Learner, ids: Ids, labeled: int) -> Examination:
    """Evaluate a model.

    Args:
        task: with the true labels.
        learner: the model and its lossnet.
        ids: held-out images.
        labeled: number of images on which the model was trained.
    """
    losses, predicted, rows = [], [], []
    for part, outputs in learner.batches(ids):
        losses.append(task.unlabeled.losses(outputs.raw, task.targets(part)))
        if learner.lossnet is not None:
            with torch.no_grad():
                predicted.append(learner.lossnet(outputs.taps))
        posteriors = task.unlabeled.posteriors(outputs.raw)
        log_confidence, category = posteriors.log_probs.max(2)
        truth = task.categories(outputs.raw, part)
        weight = torch.where(truth >= 0, posteriors.weight, 0.0)
        right = (category == truth).to(log_confidence)
        rows.append(torch.stack([log_confidence.exp(), right, weight], 2).flatten(0, 1).cpu())
    confidence, right, weight = torch.cat(rows).double().unbind(1)
    return Examination(
        labeled,
        torch.cat(losses).double().cpu().numpy(),
        torch.cat(predicted).double().cpu().numpy() if predicted else None,
        confidence_bins(confidence.numpy(), right.numpy(), weight.numpy()),
    )


def confidence_bins(
    confidence: NDArray[np.float64], right: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[ConfidenceBin, ...]:
    """Sort predictions into bins of equal width by their confidence; bins without weight are left out.

    Args:
        confidence: in [0, 1].
        right: 1 for a right prediction, 0 for a wrong one.
        weight: how much each prediction counts.
    """
    bins = np.minimum((confidence * BIN_COUNT).astype(int), BIN_COUNT - 1)
    total = weight.sum()
    sums = [np.bincount(bins, weight * values, BIN_COUNT) for values in (np.ones_like(weight), confidence, right)]
    return tuple(
        ConfidenceBin(confidences / mass, hits / mass, mass / total)
        for mass, confidences, hits in zip(*sums, strict=True)
        if mass > 0
    )


def summary_table(diagnoses: Sequence[Diagnosis]) -> Table:
    """A table of the numbers with one row per run and round."""
    names = ("task", "run", "labels", "score", "ranking accuracy", "Spearman", "calibration error")
    table = Table(*names, title="On held-out images")
    if not all(diagnosis.matches_record for diagnosis in diagnoses):
        table.caption = "* the models were missing and trained again, with other losses than the record's; the score is the record's"
    for diagnosis in diagnoses:
        record = diagnosis.record
        label = diagnosis.label if diagnosis.matches_record else f"{diagnosis.label} *"
        for one, saved in zip(diagnosis.rounds, record.rounds, strict=True):
            score = saved.metrics[record.metric.name]
            numbers = (score, one.ranking_accuracy, one.rank_correlation, one.calibration_error)
            table.add_row(record.protocol, label, f"{one.labeled:,}", *(number(value, 3) for value in numbers))
    return table
