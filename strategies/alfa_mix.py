"""Feature mixing: images whose prediction changes when their features move a little towards labeled ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from strategies.base import Context, Kind, Selection, SelectionError, Strategy, finite
from strategies.kernels.geometry import k_means, nearest_to_centers
from strategies.kernels.mixing import (
    CANDIDATE,
    Anchors,
    Change,
    directions,
    flat,
    joined,
    symmetric_divergence,
    until_enough,
)
from tasks.base import Features, Outputs, Posteriors
from tasks.training.learner import Learner

HELD_NUMBERS = 2**24  # 64 MiB of float32: an image of SSD300 has 1.2 M features, and some ten copies are at work


class AlfaMix(Strategy):
    """Candidates are images whose category changes under feature mixing; k-means spreads the picks (Parvaneh et al. 2022).

    The features z of an image move to (1 - alpha) z + alpha z*, where z* is the mean of the labeled images of a group,
    and of all labeled images where a group has none. Alpha is the closed form (equation 6),
    epsilon |z* - z| / |g| times g / (z* - z) with g the gradient of the loss under the model's own prediction: it
    maximises the linearised loss among all moves no longer than epsilon |z* - z|, where epsilon = cap / sqrt(D) and D
    is the number of features of an image, over all tensors that the head reads. The move itself is then epsilon
    |z* - z| g / |g|: whatever the anchor it goes the same way, and a head that is affine, as all of ours are, never
    returns to a category that it has left along a ray. So the farthest anchor decides. An image without a gradient
    stays where it is.

    Differs from the paper, at more than one row per image, in that an image is a candidate when one interpolation
    changes rows of half the weight or more. Differs from the authors' code in that what the candidates cannot fill is
    taken by the weight that changes, and then at random without replacement.
    """

    name: ClassVar[str] = "alfa-mix"
    paper: ClassVar[str] = "Parvaneh et al. 2022"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "features, decode, pseudo-targets, labeled groups, embeddings"
    cost: ClassVar[str] = "N D C + 20 N K D"

    alpha: Literal["closed form", "learned"] = "closed form"
    """How the interpolation is found (section 3.1)."""
    spread: Literal["clustering", "norm", "kl", "uniform"] = "clustering"
    """How candidates are chosen: near the centers of k-means, the shortest moves, the largest divergences, at random."""
    caps: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried in this order until there are more candidates than the budget (authors' code)."""
    learning_rate: float = 0.1
    """Of Adam, for a learned alpha (authors' code)."""
    steps: int = 5
    """Of Adam (authors' code)."""
    loss_coefficient: float = 1.0
    """Of the loss that a learned alpha raises (authors' code)."""
    norm_coefficient: float = 0.01
    """Of the norm of a learned alpha, which it lowers (authors' code)."""

    def select(self, ctx: Context) -> Selection:
        """As many candidates as the budget; what is missing, by the weight of rows that change."""
        anchors = self._anchors(ctx)
        find = self._closed_form if self.alpha == "closed form" else self._learned
        embeddings, changes = find(ctx, anchors)
        change = until_enough(changes, ctx.budget)
        with ctx.learner.clock.phase("pick"):
            rows = (change.flipped >= CANDIDATE).nonzero().squeeze(1)
            picks = self._spread(ctx, rows, embeddings, change)
            shuffled = torch.from_numpy(ctx.rng.permutation(len(embeddings))).to(rows.device)
            others = shuffled[change.flipped[shuffled].sort(descending=True, stable=True).indices]
            picks = torch.cat([picks, others[~torch.isin(others, picks)]])[: ctx.budget]
            return ctx.pick(picks)

    def _spread(
        self, ctx: Context, rows: Int[Tensor, " c"], embeddings: Float[Tensor, "n d"], change: Change
    ) -> Int[Tensor, " k"]:
        """Of the rows of candidates, at most as many as the budget."""
        if self.spread == "norm":
            rows = rows[change.length[rows].sort(stable=True).indices]
        elif self.spread == "kl":
            rows = rows[change.divergence[rows].sort(descending=True, stable=True).indices]
        elif self.spread == "uniform":
            rows = rows[torch.from_numpy(ctx.rng.permutation(len(rows))).to(rows.device)]
        elif len(rows) > ctx.budget:
            points = embeddings[rows]
            points /= points.norm(dim=1, keepdim=True).clamp(min=1e-12)  # in place: a million of them are 2 GB
            rows = rows[nearest_to_centers(k_means(points, ctx.budget, ctx.rng))]
        return rows[: ctx.budget]

    def _anchors(self, ctx: Context) -> Anchors:
        """Mean features of each group; of all labeled images where a group has none, as one more anchor."""
        if len(ctx.labeled) == 0:
            msg = "feature mixing needs labeled images, and there are none"
            raise SelectionError(msg)
        groups = ctx.labeled_groups().to(ctx.learner.task.device)
        member = torch.cat([groups, torch.ones_like(groups[:, :1])], 1).float()
        sums, start = torch.zeros(()), 0
        for _, outputs in ctx.learner.batches(ctx.labeled):
            for features in _pieces(outputs):
                points = flat(features)
                sums = sums + member[start : start + len(points)].T @ points
                start += len(points)
        counts = member.sum(0)
        kept = counts > 0
        kept[-1] = not bool(kept.all())
        return Anchors.of(finite((sums / counts.unsqueeze(1))[kept], "features of labeled images"))

    def _closed_form(self, ctx: Context, anchors: Anchors) -> tuple[Tensor, Iterable[Change]]:
        """Embeddings, and the change at each cap: one pass over the candidates."""
        embeddings: list[Tensor] = []
        changes: list[list[Change]] = [[] for _ in self.caps]
        for _, outputs in ctx.learner.batches(ctx.candidates):
            with torch.no_grad():
                embeddings.append(ctx.learner.task.embed(outputs))
                for features in _pieces(outputs):
                    self._along_the_gradient(ctx.learner, features, anchors, changes)
        return finite(torch.cat(embeddings), "embeddings"), map(joined, changes)

    def _along_the_gradient(
        self, learner: Learner, features: Features, anchors: Anchors, changes: list[list[Change]]
    ) -> None:
        """Append the change of these images to each cap's."""
        points, head = flat(features), learner.model.head
        raw = _raw(learner, features, points)
        targets = learner.task.pseudo_targets(raw)
        gradient = _gradient(lambda at: learner.task.losses(_raw(learner, features, at), targets), points)
        direction = directions(gradient)
        before, reach = _posteriors(learner, raw), anchors.farthest(points) / math.sqrt(points.shape[1])
        slope = direction @ head.weight.T if isinstance(head, nn.Linear) else None
        for cap, found in zip(self.caps, changes, strict=True):
            step = (cap * reach).unsqueeze(1)
            moved = raw + step * slope if slope is not None else _raw(learner, features, points + step * direction)
            found.append(self._change(before, learner.task.posteriors(moved), cap * reach))

    def _learned(self, ctx: Context, anchors: Anchors) -> tuple[Tensor, Iterable[Change]]:
        """Embeddings, and the change at each cap as far as it is asked for."""
        generator = torch.Generator(ctx.learner.task.device).manual_seed(int(ctx.rng.integers(2**63)))
        embeddings: list[Tensor] = []

        def at(cap: float) -> Change:
            # A pass for each cap: the first is nearly always enough, and learning costs steps x groups passes of the head.
            found, first = [], not embeddings
            for _, outputs in ctx.learner.batches(ctx.candidates):
                with torch.no_grad():
                    if first:
                        embeddings.append(ctx.learner.task.embed(outputs))
                    found += [
                        self._learned_at(cap, ctx.learner, features, anchors, generator)
                        for features in _pieces(outputs)
                    ]
            return joined(found)

        earliest = at(self.caps[0])
        return finite(torch.cat(embeddings), "embeddings"), chain([earliest], map(at, self.caps[1:]))

    def _learned_at(
        self, cap: float, learner: Learner, features: Features, anchors: Anchors, generator: torch.Generator
    ) -> Change:
        points = flat(features)
        raw = _raw(learner, features, points)
        before, targets = _posteriors(learner, raw), learner.task.pseudo_targets(raw)
        change = self._change(before, before, points.new_zeros(len(points)))
        for offset in anchors.offsets:
            gap = anchors.middle + offset - points

            def losses(alpha: Tensor, gap: Tensor = gap) -> Tensor:
                return learner.task.losses(_raw(learner, features, points + alpha * gap), targets)

            start = torch.empty_like(points).normal_(cap / 2, cap / 2, generator=generator)
            move = self.learned_alpha(losses, start, cap) * gap
            after = learner.task.posteriors(_raw(learner, features, points + move))
            change = change.or_else(self._change(before, after, move.norm(dim=1)))
        return change

    def learned_alpha(
        self, losses: Callable[[Tensor], Tensor], start: Float[Tensor, "n d"], cap: float
    ) -> Float[Tensor, "n d"]:
        """Alpha in [0, cap] that raises the loss of each image and keeps its own norm low (section 3.1).

        Differs from the paper in that each element is bounded, not the norm of alpha; the authors' code does so.

        Args:
            losses: of each image, given its alpha.
            start: where alpha starts, before it is clamped.
            cap: the largest element.
        """
        alpha = start.clamp_(0, cap).requires_grad_()
        optimizer = torch.optim.Adam([alpha], self.learning_rate)
        for _ in range(self.steps):
            with torch.enable_grad():
                aim = self.norm_coefficient * alpha.norm(dim=1) - self.loss_coefficient * losses(alpha)
                (alpha.grad,) = torch.autograd.grad(aim.sum(), alpha)
            optimizer.step()
            alpha.data.clamp_(0, cap)
        return alpha.detach()

    def _change(self, before: Posteriors, after: Posteriors, length: Float[Tensor, " n"]) -> Change:
        changed = before.log_probs.argmax(2) != after.log_probs.argmax(2)
        flipped = before.pooled(changed.to(length))
        apart = before.pooled(symmetric_divergence(before, after)) if self.spread == "kl" else torch.zeros_like(length)
        return Change(flipped, torch.where(flipped >= CANDIDATE, length, torch.inf), apart)


class AlfaMixLearned(AlfaMix):
    """ALFA-Mix whose interpolation is learned, element by element, for every anchor (Parvaneh et al. 2022, section 3.1).

    Differs from the authors' code in that alpha is judged once it is learned, not at every step of Adam.
    """

    name: ClassVar[str] = "alfa-mix-learned"
    cost: ClassVar[str] = "25 G heads of N + 20 N K D, G groups"

    alpha: Literal["closed form", "learned"] = "learned"

    @classmethod
    def smoke(cls) -> AlfaMixLearned:
        """Two caps, two steps."""
        return cls(caps=(0.2, 1.0), steps=2)


class AlfaMixNorm(AlfaMix):
    """ALFA-Mix that picks the candidates whose features need move least (ablation of Parvaneh et al. 2022).

    Differs from the paper in that the norm is that of the move, alpha (z* - z), and not of alpha: the closed form divides
    by z* - z, which may be 0.
    """

    name: ClassVar[str] = "alfa-mix-norm"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "features, decode, pseudo-targets, labeled groups"
    cost: ClassVar[str] = "N D C"

    spread: Literal["clustering", "norm", "kl", "uniform"] = "norm"


class AlfaMixKL(AlfaMix):
    """ALFA-Mix that picks the candidates whose prediction changes most (ablation of Parvaneh et al. 2022).

    By the symmetric Kullback-Leibler divergence between the predictions before and after the interpolation that made the
    image a candidate.
    """

    name: ClassVar[str] = "alfa-mix-kl"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "features, decode, pseudo-targets, labeled groups"
    cost: ClassVar[str] = "N D C"

    spread: Literal["clustering", "norm", "kl", "uniform"] = "kl"


class AlfaMixUniform(AlfaMix):
    """ALFA-Mix that picks among the candidates at random (ablation of Parvaneh et al. 2022)."""

    name: ClassVar[str] = "alfa-mix-uniform"
    kind: ClassVar[Kind] = "uncertainty"
    reads: ClassVar[str] = "features, decode, pseudo-targets, labeled groups"
    cost: ClassVar[str] = "N D C"

    spread: Literal["clustering", "norm", "kl", "uniform"] = "uniform"


def _pieces(outputs: Outputs) -> Iterator[Features]:
    """The features of so few images at a time that they and the gradients in them can be held."""
    most = max(1, HELD_NUMBERS // sum(each[0].numel() for each in outputs.features))
    for start in range(0, len(outputs.features[0]), most):
        yield tuple(each[start : start + most] for each in outputs.features)


def _raw(learner: Learner, like: Features, points: Float[Tensor, "n d"]) -> Any:
    """The head's output for features as vectors, of these shapes."""
    parts = points.split([each[0].numel() for each in like], 1)
    return learner.model.head(*(part.view_as(each) for part, each in zip(parts, like, strict=True)))


def _posteriors(learner: Learner, raw: Any) -> Posteriors:
    found = learner.task.posteriors(raw)
    finite(found.log_probs.amax(2), "predictions")
    return found


def _gradient(losses: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        return torch.autograd.grad(losses(leaf).sum(), leaf)[0]
