"""A trained model, and what a strategy may compute with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lossnet import LossPredictor
from tasks.base import Features, Ids, Outputs, Posteriors, TapModel, UnlabeledTask
from tasks.memory import release, room
from tasks.shards import Question
from tasks.training.clock import Clock
from tasks.training.dropout import Dropout
from tasks.training.gradients import GradientEmbeddings, gradient_embeddings
from tasks.training.kept import KeptRows, name_of
from tasks.training.processes.parallel import shared
from tasks.training.readings import readings

T = TypeVar("T")


@dataclass(frozen=True)
class Learner:
    """A model in evaluation mode with what was trained beside it. Streams: nothing of size pool x k is ever held."""

    task: UnlabeledTask
    model: TapModel
    lossnet: nn.Module | None = None
    """Predicts losses from taps; None where the track and the strategy train none."""
    auxiliary: nn.Module | None = None
    """What the strategy itself had trained beside the model."""
    precision: str = "fp32"
    batch: int = 128
    clock: Clock = field(default_factory=Clock)
    kept: KeptRows | None = None
    """Keeps answers in files, in a labeling round on a large pool; None in runs, which ask every model once."""

    def batches(self, ids: Ids) -> Iterator[tuple[Ids, Outputs]]:
        """Ids and outputs of consecutive images: test-time view, evaluation mode, no gradients, in order.

        Every process of a run computes them all, as taps are too large to be sent; the other methods share the work.
        """
        for start in range(0, len(ids), self.batch):
            part = ids[start : start + self.batch]
            yield part, self._outputs(part)

    def shared(self, ids: Ids, function: Callable[[Ids, Outputs], T]) -> Iterator[T]:
        """What a function of ids and outputs gives, batch by batch; see `tasks.training.processes.parallel.shared`."""
        return shared(ids, self.batch, lambda part: function(part, self._outputs(part)))

    def _outputs(self, ids: Ids) -> Outputs:
        with self.clock.phase("forward"):
            return self._forward(ids)

    def map(self, ids: Ids, function: Callable[[Outputs], Tensor]) -> Tensor:
        """The values of a function of the outputs, one row per image, without gradients."""
        (values,) = self.map_all(ids, lambda outputs: (function(outputs),))
        return values

    def map_all(
        self, ids: Ids, function: Callable[[Outputs], tuple[Tensor, ...]], *, share: bool = True
    ) -> tuple[Tensor, ...]:
        """What a function of the outputs gives, from one pass: tensors of one row per image, without gradients.

        Each is filled batch by batch, as joining its parts would take the memory twice; one that is too large for the memory
        lies in a file (`tasks.memory.room`).

        Args:
            ids: of the images.
            function: of the outputs of some of them.
            share: whether the processes of a run share the work. One that draws random numbers gives the same everywhere
                only where every process computes all.

        Raises:
            ValueError: there are no ids, and so nobody knows the shapes.
        """
        if not len(ids):
            msg = "a function of the outputs of no image has no shape; ask for one image at least"
            raise ValueError(msg)
        whole: tuple[Tensor, ...] = ()
        done = 0

        @torch.no_grad()
        def computed(_: Ids, outputs: Outputs) -> tuple[Tensor, ...]:
            return function(outputs)

        every = self.shared(ids, computed) if share else (computed(*batch) for batch in self.batches(ids))
        for values in every:
            whole = whole or tuple(room(len(ids), value) for value in values)
            for filled, value in zip(whole, values, strict=True):
                release(filled[done : done + len(value)].copy_(value))
            done += len(values[0])
        return whole

    def posteriors(self, ids: Ids) -> Iterator[Posteriors]:
        """Predictions, batch by batch."""
        for raw in self.shared(ids, lambda _, outputs: outputs.raw):
            yield self.task.posteriors(raw)

    def embeddings(self, ids: Ids) -> Float[Tensor, "n d"]:
        """One vector per image."""
        return self._answer(Question("embeddings", "embeddings", "embeddings"), ids, self.task.embed)

    def pooled(self, ids: Ids, summary: Callable[[Tensor], Tensor]) -> Float[Tensor, " n"]:
        """The weighted mean over the posterior rows of each image of a function of their log-probabilities, such as the entropy."""

        def of(outputs: Outputs) -> Tensor:
            posteriors = self.task.posteriors(outputs.raw)
            return posteriors.pooled(summary(posteriors.log_probs))

        name = name_of(summary)
        if name is None:
            return self.map(ids, of)
        return self._answer(Question(f"pooled {name}", "scores", "pooled", (summary,)), ids, of)

    def predicted_losses(self, module: nn.Module | None, ids: Ids) -> Float[Tensor, " n"]:
        """The loss of each image that a module predicts, such as `lossnet` or `auxiliary`, from what it reads."""
        trained = trained_module(module)
        predict = trained.predict_losses if isinstance(trained, LossPredictor) else trained

        def of(outputs: Outputs) -> Tensor:
            return predict(readings(self.task, outputs, trained))

        name = "lossnet" if module is self.lossnet else "auxiliary"
        if module is not getattr(self, name):
            return self.map(ids, of)
        return self._answer(
            Question("predicted losses", "predicted losses", "losses_predicted_by", (name,)), ids, of, trained
        )

    def losses_predicted_by(self, ids: Ids, name: str) -> Float[Tensor, " n"]:
        """What `lossnet` or `auxiliary` predicts, by its name."""
        return self.predicted_losses(getattr(self, name), ids)

    def _answer(
        self, question: Question, ids: Ids, function: Callable[[Outputs], Tensor], *modules: nn.Module
    ) -> Tensor:
        """`map` of a function that a question names, from files where answers are kept."""
        if self.kept is None:
            return self.map(ids, function)
        whose = (self.model, *modules)
        return self.kept.map(whose, question, np.asarray(ids), self.batch, lambda part: self.map(part, function))

    def dropout_passes(
        self, ids: Ids, passes: int, rate: float, rng: np.random.Generator
    ) -> Iterator[Iterator[Posteriors]]:
        """Predictions under several masks of dropout on the head's input, batch by batch; only the head is repeated.

        The passes of a batch are computed one by one as they are read: all passes of SSD300 would take 900 MB.
        """
        dropout = Dropout.of(rate, rng, self.task.device)
        for _, outputs in self.batches(ids):
            yield (self._thinned(outputs, dropout) for _ in range(passes))

    @torch.no_grad()
    def _thinned(self, outputs: Outputs, dropout: Dropout) -> Posteriors:
        return self.decode(dropout(outputs.features))

    def gradient_embeddings(self, ids: Ids) -> GradientEmbeddings:
        """The gradient of each image's loss under the model's own prediction, in the weights of its head."""
        return GradientEmbeddings(
            *self.map_all(ids, lambda outputs: gradient_embeddings(self.task, self.model.head, outputs))
        )

    def decode(self, features: Features) -> Posteriors:
        """The prediction from given features; differentiable."""
        return self.task.posteriors(self.model.head(*features))

    def _forward(self, ids: Ids) -> Outputs:
        self.model.eval()
        images = self.task.inputs(np.asarray(ids))
        with torch.no_grad(), self.autocast():
            outputs = self.model(images)
        return float32(outputs)

    def autocast(self) -> torch.autocast:
        """The precision in which the model runs, as a context."""
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16")


def trained_module(module: nn.Module | None) -> nn.Module:
    """The module itself, where it was trained.

    Raises:
        ValueError: it is None, because the strategy does not declare that it needs it.
    """
    if module is None:
        msg = "this learner has no such module: declare needs_lossnet, or give the strategy an auxiliary"
        raise ValueError(msg)
    return module


def float32(outputs: Outputs) -> Outputs:
    """The same outputs in float32: losses, scores and distances are never computed in less."""
    raw = outputs.raw
    raw = raw.float() if isinstance(raw, Tensor) else type(raw)(*(part.float() for part in raw))
    taps, features, scales = (
        tuple(each.float() for each in maps) for maps in (outputs.taps, outputs.features, outputs.scales)
    )
    return Outputs(taps, features, raw, scales)
