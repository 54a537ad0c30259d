"""Trained learners, each trained once and kept under a key of all that decides its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import safe_open
from torch import Tensor, nn

from leaderboard.records import Track
from lossbench.config import Protocol
from lossbench.streams import stream
from lossnet import RankingObjective
from strategies import Strategy
from tasks.base import Ids, TapModel, Task
from tasks.clock import Clock
from tasks.dropout import Dropout
from tasks.learner import Learner
from tasks.seeding import seeded
from tasks.settings import Recipe
from tasks.training import Attachment, CoTrained, Streams, fit
from tasks.weights import save_weights

FIT_VERSION = 1
"""Raised by hand when the same key would now give other weights."""


def ranking_objective(recipe: Recipe) -> RankingObjective:
    """The paper's objective, as a recipe sets it."""
    return RankingObjective(recipe.loss_weight, recipe.detach_after, seen=recipe.taps, margin=recipe.margin)


@dataclass(frozen=True)
class Needs:
    """What is trained beside the model, whether the model feels it, and the dropout with which it trains."""

    lossnet: CoTrained | None
    auxiliary: CoTrained | None
    auxiliary_detached: bool
    dropout: float = 0.0

    @classmethod
    def of(cls, strategy: Strategy, task: Task, track: Track) -> Needs:
        """In the shared track the ranking LossNet, and nothing else that the model feels; in the native, what is declared."""
        recipe, shared = task.recipe, track == "shared"
        lossnet = ranking_objective(recipe) if shared or strategy.needs_lossnet else None
        return cls(lossnet, strategy.auxiliary(recipe), shared, 0.0 if shared else strategy.dropout)


@dataclass(frozen=True)
class Fits:
    """The learners of one task under one seed.

    Args:
        folder: where weights are kept; anything in it may be deleted at any time.
    """

    folder: Path
    task: Task
    protocol: Protocol
    seed: int
    needs: Needs
    clock: Clock

    def learner(self, rounds: Sequence[Ids], member: int = 0) -> tuple[Learner, float]:
        """The learner of the last of these labeled sets, and the seconds that its training took, now or earlier.

        Args:
            rounds: the labeled set of every round up to now; under a warm start all of them decide the weights.
            member: number of the committee's member.
        """
        model, attachments = self._untrained(len(rounds[-1]), member)
        path = self.folder / f"{self.key(rounds, member)}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                self._train(model, attachments, rounds, member)
                save_weights(dict(_named(model, attachments)), path, {"seconds": repr(self.clock.seconds.pop("fit"))})
        seconds = _load(path, _named(model, attachments))
        modules = {name: each.module.eval() for name, each in attachments.items()}
        learner = Learner(
            self.task.reader,
            model.eval(),
            lossnet=modules.get("lossnet"),
            auxiliary=modules.get("auxiliary"),
            precision=self.task.recipe.precision,
            clock=self.clock,
        )
        return learner, seconds

    def key(self, rounds: Sequence[Ids], member: int) -> str:
        """A digest of everything that decides the weights."""
        warm = self.task.recipe.warm_start and len(rounds) > 1
        parts = {
            "version": FIT_VERSION,
            "task": self.protocol.task.model_dump(mode="json"),
            "data": dict(self.task.fingerprints),
            "noise": self.protocol.stress.label_noise,
            "labeled": np.sort(rounds[-1]).tolist(),
            "lossnet": repr(self.needs.lossnet),
            "auxiliary": f"{type(self.needs.auxiliary).__module__} {self.needs.auxiliary!r}",
            "detached": self.needs.auxiliary_detached and self.needs.auxiliary is not None,
            "dropout": self.needs.dropout,
            "seed": self.seed,
            "member": member,
            "device": self.task.reader.device.type,
            "threads": torch.get_num_threads(),
            "parent": self.key(rounds[:-1], member) if warm else None,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _untrained(self, labeled: int, member: int) -> tuple[TapModel, dict[str, Attachment]]:
        device = self.task.reader.device
        with seeded(stream(self.seed, "weights", member, labeled)):
            model = self.task.build_model()
        model = model.placed(device).eval()
        with torch.no_grad():
            taps, _ = model.trunk(self.task.reader.images(np.array([0])))
        attachments = {}
        for name, objective, detached in (
            ("lossnet", self.needs.lossnet, False),
            ("auxiliary", self.needs.auxiliary, self.needs.auxiliary_detached),
        ):
            if objective is not None:
                with seeded(stream(self.seed, name, member, labeled)):
                    module = objective.build(taps).to(device)
                attachments[name] = Attachment(objective, module, detached)
        return model, attachments

    def _train(self, model: TapModel, attachments: dict[str, Attachment], rounds: Sequence[Ids], member: int) -> None:
        if self.task.recipe.warm_start and len(rounds) > 1:
            self.learner(rounds[:-1], member)
            _load(self.folder / f"{self.key(rounds[:-1], member)}.safetensors", _named(model, attachments))
        labeled = rounds[-1]
        words = (member, len(labeled))
        rate, device = self.needs.dropout, self.task.reader.device
        streams = Streams(
            stream(self.seed, "order", *words),
            stream(self.seed, "augmentation", *words),
            Dropout.of(rate, stream(self.seed, "dropout", *words), device) if rate else None,
        )
        with self.clock.phase("fit"):
            fit(self.task, model, labeled, list(attachments.values()), streams)
        for module in (model, *(each.module for each in attachments.values())):
            module.zero_grad(set_to_none=True)  # a learner is the same, trained just now or loaded


def _named(model: TapModel, attachments: dict[str, Attachment]) -> Iterator[tuple[str, Tensor]]:
    modules: dict[str, nn.Module] = {"model": model} | {name: each.module for name, each in attachments.items()}
    for name, module in modules.items():
        for entry, value in module.state_dict().items():
            yield f"{name}.{entry}", value


def _load(path: Path, named: Iterator[tuple[str, Tensor]]) -> float:
    with safe_open(path, "pt") as file, torch.no_grad():
        for name, value in named:
            value.copy_(file.get_tensor(name))
        return float(file.metadata()["seconds"])
