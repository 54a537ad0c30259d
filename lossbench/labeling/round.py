"""A labeling round: train on what is labeled, and pick what to label next."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.config import ConfigError
from lossbench.labeling.division import Division, distinct, unseen
from lossbench.labeling.duplicates import looks, near_duplicates
from lossbench.labeling.outcome import Outcome, Pick
from lossbench.labeling.plan import RoundSettings
from lossbench.running.evaluation import evaluate
from lossbench.running.kept.models import ModelCache, TrainingPlan
from lossbench.running.selecting import Choice, checked, selecting, selection_context
from lossbench.running.streams import stream
from lossbench.words import plural
from strategies import COLD_STARTERS, Selection, Strategy, load_strategy
from strategies.kernels.information import margin
from strategies.random import Random
from tasks.base import Ids, Task
from tasks.datasets.labeled.folder import LabeledImages, load_labeled, shown_classes
from tasks.datasets.tools.annotated import AnnotatedImage, Shape
from tasks.images.decoding import image_size
from tasks.images.files import state_of
from tasks.kind import TaskKind
from tasks.kinds import build_task, kind_named
from tasks.progress import report
from tasks.settings import LabeledFolder
from tasks.shards import Question
from tasks.training.clock import Clock
from tasks.training.kept import KeptRows
from tasks.training.learner import Learner
from tasks.training.seeding import seeded

SURVEYED = 1000
"""Unlabeled images, drawn at random, in which classes are predicted to compare the picks with."""


@dataclass(frozen=True)
class LabelingRound:
    """A round and what it works on.

    Args:
        settings: of the round.
        cache: folder of decoded images, frozen features and trained weights.
        device: of the model.
    """

    settings: RoundSettings
    cache: Path
    device: torch.device

    @property
    def source(self) -> LabeledFolder:
        """Where images and labels are."""
        source = self.settings.task.data.labeled
        if source is None:
            msg = "these settings have no table task.data.labeled"
            raise ConfigError(msg)
        return source

    @property
    def folder(self) -> Path | None:
        """Of the images, as it was given; None where they are no files in a folder."""
        in_files = isinstance(self.found.files[0], Path)
        given = os.path.abspath(self.source.images)  # noqa: PTH100 - resolve() would follow a link, whose name tools know
        return Path(given) if in_files else None

    @property
    def shape(self) -> Shape:
        """Of the labels."""
        if self.kind.shape is None:
            msg = f"the kind {self.kind.name!r} has no labels that annotation tools give"
            raise ConfigError(msg)
        return self.kind.shape

    @cached_property
    def found(self) -> LabeledImages:
        """The images and labels."""
        return load_labeled(self.source, Path(), self.shape)

    @cached_property
    def kind(self) -> TaskKind[Any]:
        """The kind of task."""
        return kind_named(self.settings.task.kind)

    @cached_property
    def strategy(self) -> Strategy:
        """Who picks."""
        return load_strategy(self.settings.strategy, self.settings.parameters)

    @cached_property
    def task(self) -> Task[Any, Any]:
        """All images, with the labels that there are."""
        return build_task(self.settings.task, Path(), self.cache, self.device)

    @cached_property
    def division(self) -> Division:
        """Which images are labeled."""
        return Division.of(self.found, self.shape, self.source.held_out)

    def run(self) -> Outcome:
        """Train, evaluate and pick.

        Raises:
            ConfigError: the strategy cannot pick from these images.
            DataError: an image or a label cannot be used.
        """
        strategy, division = self.strategy, self.division  # what is wrong with them shows before images are read
        first = not len(division.training)
        self._check(strategy, first=first)
        report(f"reading {plural(len(self.found.files), 'image')}")
        task = self.task
        report("looking for near-duplicates")
        groups = near_duplicates(looks(task.unlabeled, np.arange(task.pool_size)), self.settings.duplicate_bits)
        candidates = distinct(groups, division)
        self._check_candidates(len(candidates), len(division.unlabeled))
        report("reading the pretrained model" if first else f"training on {plural(len(division.training), 'label')}")
        committee = self._committee
        metrics: dict[str, float] = {}
        tested = unseen(groups, division)
        if len(tested):
            report("evaluating")
            metrics = evaluate(task, committee[0], tested)
        report(f"{strategy.name} picks from {plural(len(candidates), 'candidate')}")
        selection = self._selected(strategy, committee, candidates)
        report("describing the picks")
        return self._outcome(committee[0], selection, groups, tested, metrics)

    def _check(self, strategy: Strategy, *, first: bool) -> None:
        if strategy.cheats:
            msg = f"{strategy.name} reads the labels of candidates, which nobody knows here; choose another strategy"
            raise ConfigError(msg)
        if first and not strategy.cold_start and strategy.name != Random.name:
            msg = (
                f"{strategy.name} needs labels, and there are none yet; begin with {', '.join(COLD_STARTERS)} or {Random.name}, "
                "or give labels with --labeled FILE"
            )
            raise ConfigError(msg)

    def _check_candidates(self, candidates: int, unlabeled: int) -> None:
        if candidates >= self.settings.budget:
            return
        left, advice = "", ""
        if unlabeled > candidates:
            left = f" ({unlabeled - candidates} of {unlabeled} are near-duplicates)"
            advice = ", or leave none out: write duplicate_bits = -1 into a file, and name it with --settings"
        wanted = f"{plural(self.settings.budget, 'image')} to pick, and {plural(candidates, 'candidate')}{left}"
        msg = f"{wanted}; lower --budget{advice}"
        raise ConfigError(msg)

    def ask(self, question: Question | None) -> None:
        """Compute what a question asks for, or, without one, what building the task needs; it is then in the cache."""
        if question is None:
            _ = self.task
        elif question.ids is not None:
            getattr(self._committee[question.member], question.method)(question.ids, *question.words)

    @cached_property
    def _committee(self) -> tuple[Learner, ...]:
        return self._trained(self.strategy) if len(self.division.training) else (self._untrained(self.strategy),)

    def _untrained(self, strategy: Strategy) -> Learner:
        """The model before a first label; random picks do not need one whose embeddings say something."""
        with seeded(stream(self.settings.seed, "untrained")):
            model = self.task.build_model() if strategy.name == Random.name else self.task.pretrained_model()
        return self._keeping(Learner(self.task.unlabeled, model.placed(self.device).eval()), 0)

    def _trained(self, strategy: Strategy) -> tuple[Learner, ...]:
        plan = TrainingPlan.of(strategy, self.settings.loss_prediction, "shared")
        cache = ModelCache(self.cache / "models", self.task, self.settings.seed, plan, Clock(self.device))
        trained = (cache.learner((self.division.training,), member)[0] for member in range(strategy.committee_size))
        return tuple(self._keeping(learner, member) for member, learner in enumerate(trained))

    def _keeping(self, learner: Learner, member: int) -> Learner:
        """The learner, whose answers are kept in files where each takes a forward pass of the whole model."""
        if not learner.task.reads_images:
            return learner
        return replace(learner, kept=KeptRows(self.cache / "scores", self._images, member))

    @cached_property
    def _images(self) -> str:
        """A digest of the images and of how they are read."""
        digest = hashlib.sha256(repr(self.settings.task).encode())
        for file in self.found.files:
            digest.update(f"\0{state_of(file)}".encode())
        return digest.hexdigest()

    def _selected(self, strategy: Strategy, committee: tuple[Learner, ...], candidates: Ids) -> Selection:
        seed, subset = self.settings.seed, self.settings.subset
        if subset is not None and subset < len(candidates):
            subset = max(subset, self.settings.budget)
            candidates = np.sort(stream(seed, "subset").choice(candidates, subset, replace=False))
        ctx = selection_context(
            self.task,
            strategy,
            committee,
            Choice(self.division.training, candidates, self.settings.budget),
            stream(seed, "select"),
        )
        with selecting(strategy.name):
            selection = strategy.select(ctx)
        return Selection(checked(selection, ctx, strategy.name), selection.scores)

    def _outcome(
        self, learner: Learner, selection: Selection, groups: np.ndarray, tested: Ids, metrics: dict[str, float]
    ) -> Outcome:
        found, division = self.found, self.division
        sizes = [image_size(found.files[image]) for image in selection.ids]
        predictions = self._predictions(learner, selection.ids, sizes)
        survey = stream(self.settings.seed, "survey").permutation(division.unlabeled)[:SURVEYED]
        surveyed = self._predictions(learner, survey, [self._square] * len(survey))
        return Outcome(
            settings=self.settings,
            class_names=found.class_names,
            picks=tuple(self._picks(learner, selection, groups, predictions)),
            images=len(found.files),
            trained_on=len(division.training),
            held_out=len(division.held_out),
            tested=len(tested),
            labels=dict(shown_classes(filter(None, found.labels), self.shape).most_common()),
            set_aside=len(division.set_aside),
            duplicates=len(division.unlabeled) - len(distinct(groups, division)),
            metrics=metrics,
            pool_classes=_shares(shown_classes(surveyed, self.shape)),
            pick_classes=_shares(shown_classes(predictions, self.shape)),
        )

    @property
    def _square(self) -> tuple[int, int]:
        """The size that images have for the model, of which no file has to be read."""
        height, width = self.task.unlabeled.frames(self.division.unlabeled[:1]).shape[2:]
        return width, height

    def _predictions(self, learner: Learner, ids: Ids, sizes: Sequence[tuple[int, int]]) -> list[AnnotatedImage]:
        """What the model sees in images of these widths and heights; nothing where it is not trained."""
        files = [(self.found.names[image], size) for image, size in zip(ids, sizes, strict=True)]
        if not len(self.division.training):
            return [AnnotatedImage(*each) for each in files]
        task, found = self.task, []
        for part, outputs in learner.batches(ids):
            with torch.no_grad(), learner.autocast():
                raw = task.judged(learner.model, part, outputs.raw)
            found += list(task.predictions(raw))
        return [self.kind.as_labels(each, *file, task.group_names) for each, file in zip(found, files, strict=True)]

    def _picks(
        self, learner: Learner, selection: Selection, groups: np.ndarray, predictions: list[AnnotatedImage]
    ) -> Iterable[Pick]:
        ids, training, names = selection.ids, self.division.training, self.found.names
        scores = np.full(len(ids), math.nan) if selection.scores is None else selection.scores.double().numpy()
        losses, margins, nearest, similarity = [np.full(len(ids), math.nan) for _ in range(4)]
        if len(training):
            losses = learner.predicted_losses(learner.lossnet, ids).double().cpu().numpy()
            margins = torch.cat([one.pooled(margin(one.log_probs)) for one in learner.posteriors(ids)]).cpu().numpy()
            points, labeled = _unit(learner, ids), _unit(learner, training)
            best = (points @ labeled.T).max(1)
            nearest, similarity = training[best.indices.cpu().numpy()], best.values.cpu().numpy()
        mates = {group: np.flatnonzero(groups == group) for group in groups[ids].tolist()}
        for rank, image in enumerate(ids.tolist()):
            yield Pick(
                file=names[image],
                path=self.found.files[image],
                rank=rank + 1,
                score=float(scores[rank]),
                predicted_loss=float(losses[rank]),
                margin=float(margins[rank]),
                nearest_labeled=names[int(nearest[rank])] if len(training) else "",
                similarity=float(similarity[rank]),
                left_out=tuple(names[mate] for mate in mates[groups[image]] if mate != image),
                prediction=predictions[rank],
            )


def _unit(learner: Learner, ids: Ids) -> Float[Tensor, "n d"]:
    points = learner.embeddings(ids)
    return points / points.norm(dim=1, keepdim=True).clamp_min(torch.finfo(points.dtype).tiny)


def _shares(counts: Counter[str]) -> dict[str, float]:
    total = max(counts.total(), 1)
    return {name: count / total for name, count in sorted(counts.items())}
