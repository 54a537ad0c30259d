"""Trained models and their metrics, each kept under a key of all that decides the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaderboard.schema.records import Track
from lossbench.config import ConfigError, LossPrediction
from lossbench.locks import locked
from lossbench.running.kept.metrics import Measured, read_metrics, save_metrics
from lossbench.running.streams import stream
from lossnet import RankingObjective
from strategies import Strategy
from tasks.base import Ids, TapModel, Task
from tasks.memory import images_at_once
from tasks.notices import notice
from tasks.outside.errors import blaming_outside
from tasks.training.clock import Clock
from tasks.training.dropout import Dropout
from tasks.training.learner import Learner
from tasks.training.loop import fit
from tasks.training.processes.parallel import copy_from_first, from_first, is_first, process_count
from tasks.training.readings import readings
from tasks.training.seeding import seeded
from tasks.training.step import Attachment, CoTrained, Streams
from tasks.training.weights import DamagedWeightsError, read_weights, save_weights

FIT_VERSIONS = {"cpu": 3, "cuda": 4}
"""By type of device. Raised by hand when the same key would now give other weights, or files of another form.

From CUDA's version 3 on, batches have one size there: the last of an epoch wraps around.
"""


METRICS_LETTERS = 16
"""Of the digest of the images that metrics were measured on, in the name of their file."""


def ranking_objective(settings: LossPrediction) -> RankingObjective:
    """The paper's objective under a protocol's settings."""
    return RankingObjective(settings.weight, settings.detach_after, taps=settings.taps, margin=settings.margin)


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained beside the model, whether the model receives its gradients, and the dropout with which it trains."""

    lossnet: CoTrained | None
    auxiliary: CoTrained | None
    auxiliary_detached: bool
    dropout: float = 0.0

    @classmethod
    def of(cls, strategy: Strategy, settings: LossPrediction, track: Track) -> TrainingPlan:
        """What a strategy's runs train on a track.

        Shared: the ranking LossNet always, and the strategy's own module on detached taps. Native: what the strategy
        declares, and nothing else.
        """
        objective, shared = ranking_objective(settings), track == "shared"
        lossnet = objective if shared or strategy.needs_lossnet else None
        with blaming_outside():
            auxiliary = strategy.auxiliary(objective)
        if auxiliary is not None and not all(callable(getattr(auxiliary, name, None)) for name in ("build", "loss")):
            msg = f"{strategy.name}: auxiliary gives a {type(auxiliary).__name__}; None or an object with build and loss is wanted"
            raise ConfigError(msg)
        return cls(lossnet, auxiliary, shared, 0.0 if shared else strategy.dropout)


@dataclass(frozen=True)
class ModelCache:
    """The trained models of one task under one seed: each is trained and measured once, and then read from its files.

    Args:
        folder: where weights and metrics are kept; anything in it may be deleted at any time.
        task: with the labels that the oracle gives.
        seed: of the run.
        plan: what is trained.
        clock: counts the seconds of training.
    """

    folder: Path
    task: Task[Any, Any]
    seed: int
    plan: TrainingPlan
    clock: Clock

    def learner(self, rounds: Sequence[Ids], member: int = 0) -> tuple[Learner, float]:
        """The learner of the last of these labeled sets, and the seconds that its training took, now or earlier.

        Args:
            rounds: the labeled set of every round up to now; under a warm start all of them decide the weights.
            member: number of the committee's member.
        """
        model, attachments = self._untrained(len(rounds[-1]), member)
        path = self.path(rounds, member)
        with _kept_by_first(path):
            seconds = from_first(lambda: self._restored(path, model, attachments))
            if seconds is None:
                self._train(model, attachments, rounds, member)
                seconds = self.clock.seconds.pop("fit")
                if is_first():
                    save_weights(dict(_named(model, attachments)), path, {"seconds": repr(seconds)})
            else:
                copy_from_first(value for _, value in _named(model, attachments))
        return self._learner(model, attachments), seconds

    def tried(self, labeled: Ids) -> Learner:
        """A learner of one labeled set that is trained now and kept nowhere; under a warm start, too, from the first weights."""
        model, attachments = self._untrained(len(labeled), 0)
        self._fit(model, attachments, labeled, 0)
        return self._learner(model, attachments)

    def _learner(self, model: TapModel, attachments: dict[str, Attachment]) -> Learner:
        modules = {name: each.module.eval() for name, each in attachments.items()}
        unlabeled = self.task.unlabeled
        return Learner(
            unlabeled,
            model.eval(),
            lossnet=modules.get("lossnet"),
            auxiliary=modules.get("auxiliary"),
            precision=self.task.recipe.precision,
            batch=images_at_once(unlabeled.device, unlabeled.size),
            clock=self.clock,
        )

    def metrics(self, rounds: Sequence[Ids], ids: Ids, measure: Callable[[Ids], dict[str, float]]) -> Measured:
        """The metrics of the first member on some images, and the seconds that they took, now or earlier.

        Args:
            rounds: as for `learner`.
            ids: what it is measured on.
            measure: gives the metrics on them, where they are not there yet.
        """
        measured_on = hashlib.sha256(ids.tobytes() + self.task.unlabeled.content(ids).encode()).hexdigest()[
            :METRICS_LETTERS
        ]
        path = self.folder / f"{self.key(rounds, 0)}-{measured_on}.json"
        with _kept_by_first(path):
            kept = from_first(lambda: read_metrics(path))
            if kept is None:
                with self.clock.phase("evaluate"):
                    found = measure(ids)
                seconds = self.clock.seconds.pop("evaluate") + self.clock.seconds.pop("forward", 0.0)
                kept = Measured(found, seconds)
                if is_first():
                    save_metrics(kept, path)
        return kept

    def path(self, rounds: Sequence[Ids], member: int) -> Path:
        """The file of a learner's weights; arguments as for `learner`."""
        return self.folder / f"{self.key(rounds, member)}.safetensors"

    def key(self, rounds: Sequence[Ids], member: int) -> str:
        """A digest of everything that decides the weights."""
        warm = self.task.recipe.warm_start and len(rounds) > 1
        labeled = np.sort(rounds[-1])
        parts = {
            "version": FIT_VERSIONS[self.task.unlabeled.device.type],
            "task": self.task.settings.model_dump(mode="json"),
            "data": dict(self.task.fingerprints),
            "noise": self.task.stress.label_noise,
            "labeled": labeled.tolist(),
            "pixels": self.task.unlabeled.content(labeled),  # files may be others under the same names
            "lossnet": repr(self.plan.lossnet),
            "auxiliary": f"{type(self.plan.auxiliary).__module__} {self.plan.auxiliary!r}",
            "detached": self.plan.auxiliary_detached and self.plan.auxiliary is not None,
            "dropout": self.plan.dropout,
            "seed": self.seed,
            "member": member,
            "device": self.task.unlabeled.device.type,
            "threads": torch.get_num_threads(),
            "parent": self.key(rounds[:-1], member) if warm else None,
        }
        if process_count() > 1:
            parts["processes"] = process_count()
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _untrained(self, labeled: int, member: int) -> tuple[TapModel, dict[str, Attachment]]:
        device = self.task.unlabeled.device
        with seeded(stream(self.seed, "weights", member, labeled)):
            model = self.task.build_model()
        model = model.placed(device).eval()
        with torch.no_grad():
            outputs = model(self.task.unlabeled.inputs(np.array([0])))
        attachments = {}
        for name, objective, detached in (
            ("lossnet", self.plan.lossnet, False),
            ("auxiliary", self.plan.auxiliary, self.plan.auxiliary_detached),
        ):
            if objective is not None:
                with seeded(stream(self.seed, name, member, labeled)):
                    module = objective.build(readings(self.task.unlabeled, outputs, objective)).to(device)
                attachments[name] = Attachment(objective, module, detached)
        return model, attachments

    def _restored(self, path: Path, model: TapModel, attachments: dict[str, Attachment]) -> float | None:
        """Read the weights, and return the seconds of their training; None if there are none, or damaged ones, which is said."""
        if not path.exists():
            return None
        try:
            return _restore(path, _named(model, attachments))
        except DamagedWeightsError as error:
            notice(f"{path} is damaged ({error}); its model is trained again")
            return None

    def _train(self, model: TapModel, attachments: dict[str, Attachment], rounds: Sequence[Ids], member: int) -> None:
        if self.task.recipe.warm_start and len(rounds) > 1:
            self.learner(rounds[:-1], member)
            if is_first():  # from which others get them when training begins
                _restore(self.path(rounds[:-1], member), _named(model, attachments))
        self._fit(model, attachments, rounds[-1], member)

    def _fit(self, model: TapModel, attachments: dict[str, Attachment], labeled: Ids, member: int) -> None:
        words = (member, len(labeled))
        rate, device = self.plan.dropout, self.task.unlabeled.device
        streams = Streams(
            stream(self.seed, "order", *words),
            stream(self.seed, "augmentation", *words),
            Dropout.of(rate, stream(self.seed, "dropout", *words), device) if rate else None,
        )
        own_draws = seeded(stream(self.seed, "own draws", *words))  # of layers, such as dropout in a library's model
        with self.clock.phase("fit"), own_draws:
            fit(self.task, model, labeled, list(attachments.values()), streams)
        for module in (model, *(each.module for each in attachments.values())):
            module.zero_grad(set_to_none=True)  # a learner is the same, trained just now or loaded


@contextmanager
def _kept_by_first(path: Path) -> Iterator[None]:
    """Hold the lock of a file in the process that reads and writes it; others need no such file."""
    if not is_first():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        yield


def _named(model: TapModel, attachments: dict[str, Attachment]) -> Iterator[tuple[str, Tensor]]:
    modules: dict[str, nn.Module] = {"model": model} | {name: each.module for name, each in attachments.items()}
    for name, module in modules.items():
        for entry, value in module.state_dict().items():
            yield f"{name}.{entry}", value


def _restore(path: Path, named: Iterator[tuple[str, Tensor]]) -> float:
    """Copy the tensors of a file into those of the same names, and return the seconds that their training took.

    Raises:
        DamagedWeightsError: the file is damaged, or holds other tensors; nothing is copied then.
    """
    tensors, metadata = read_weights(path)
    wanted = dict(named)
    if {name: value.shape for name, value in wanted.items()} != {name: value.shape for name, value in tensors.items()}:
        msg = "its tensors are not those of the model"
        raise DamagedWeightsError(msg)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])
    return float(metadata["seconds"])
