"""Novelty to a network that learns to tell rotations of the labeled images apart."""

from __future__ import annotations

import copy
import math
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR

from strategies.base import Context, Kind, Selection, Strategy, finite
from strategies.kernels.networks import Epochs, consecutive, flipped, placed, train
from tasks.base import Ids
from tasks.models.resnet import ResNet18Stages
from tasks.training.seeding import seeded

ROTATIONS = 4
"""By 0, 90, 180 and 270 degrees (Gidaris et al. 2018)."""


class Logits(NamedTuple):
    """What the scoring network says of n images."""

    rotation: Float[Tensor, "4 n 4"]
    """[r, i, s]: how much image i, rotated r times by 90 degrees, looks like one rotated s times."""
    group: Float[Tensor, "n g"]
    """Of the images as they are."""


class ScoringNetwork(nn.Module):
    """ResNet-18 with a head that names the rotation and a head that names the group."""

    def __init__(self, width: int, stem: Literal["cifar", "half", "imagenet"], groups: int) -> None:
        super().__init__()
        self.stages = ResNet18Stages(width, stem)
        self.rotation = nn.Linear(self.stages.channels[-1], ROTATIONS)
        self.group = nn.Linear(self.stages.channels[-1], groups)

    def forward(self, images: Float[Tensor, "n 3 s s"]) -> Logits:
        """Logits of square images; all four rotations pass as one batch."""
        features = self.stages(rotated(images))[-1].mean((2, 3))
        return Logits(self.rotation(features).unflatten(0, (ROTATIONS, -1)), self.group(features[: len(images)]))


def rotated(images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "r 3 s s"]:
    """All images as they are, then all rotated by 90 degrees, by 180 and by 270."""
    turned = torch.cat([images.rot90(times, (2, 3)) for times in range(ROTATIONS)])
    return turned.contiguous(memory_format=torch.channels_last)


def rotation_loss(logits: Float[Tensor, "4 n 4"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the true rotations."""
    return -logits.log_softmax(2).diagonal(dim1=0, dim2=2).mean()


def group_loss(logits: Float[Tensor, "n g"], targets: Float[Tensor, "n g"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of soft targets over the images that have one; 0 where none has."""
    return -(targets * logits.log_softmax(1)).sum() / (targets.sum(1) > 0).sum().clamp(min=1)


def group_targets(groups: Bool[Tensor, "n g"]) -> Float[Tensor, "n g"]:
    """Every group of an image, alike likely; zeros for an image without a group."""
    return groups.float() / groups.sum(1, keepdim=True).clamp(min=1)


def rotation_scores(logits: Float[Tensor, "4 n 4"]) -> Float[Tensor, " n"]:
    """S_S: minus the sum of the probabilities of the true rotations, from -4 (all known) to 0 (all mistaken)."""
    return -logits.softmax(2).diagonal(dim1=0, dim2=2).sum(1)


def group_scores(logits: Float[Tensor, "n g"]) -> Float[Tensor, " n"]:
    """S_C: minus the divergence KL(U || p) of the prediction from the uniform distribution, in nats; 0 where uniform."""
    return logits.log_softmax(1).mean(1) + math.log(logits.shape[1])


def sub_queries(budget: int, share: float) -> list[int]:
    """Sizes of the parts of a budget: all of this share of it, at least 1, but the last, which is what is left."""
    size = max(1, round(share * budget))
    return [min(size, budget - start) for start in range(0, budget, size)]


class PAL(Strategy):
    """Picks what a network trained on the labeled images alone finds novel (Bhatnagar et al. 2021).

    The network learns to name the rotation and the class of labeled images. A candidate's score is S = l_S S_S + l_C S_C:
    novel is what it cannot turn upright, and what it takes for no class. The budget is split into sub-queries; from the
    second on, l_D S_D is added: S_S under a copy of the network that was fine-tuned on the rotations of all picks so far.

    The class target of an image of several groups is their even mixture; an image of none counts for rotations only.

    Differs from the published code in that the network of the last epoch is taken, not the best on 5,000 further labels;
    training images are only mirrored, where on CIFAR-10 it also shifts them by up to 4 pixels; candidates are not
    augmented; the class head sees the upright images of the same batch instead of in a second pass; and KL is in nats,
    there in bits (class_weight = 1.4427 gives that). A mirrored person keeps its pose cluster.
    """

    name: ClassVar[str] = "pal"
    paper: ClassVar[str] = "Bhatnagar, Goyal, Tank & Sethi 2021"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "images, labeled_groups"
    cost: ClassVar[str] = "4 x (E L to train + Q N to score) passes of its ResNet-18; E epochs, Q sub-queries"

    pixels: int = Field(default=32, ge=16)
    """Side of its images; CIFAR's, as in the paper. The published code reads Caltech-101 at 224."""
    width: int = Field(default=64, ge=1)
    """Channels of the first stage; 64 is ResNet-18, the paper's scoring network."""
    stem: Literal["cifar", "half", "imagenet"] = "imagenet"
    """Published code: the 7x7 convolution and max-pool, also on images of 32 pixels."""
    epochs: int = Field(default=100, ge=1)
    """Published code, CIFAR-10 and SVHN."""
    batch: int = Field(default=64, ge=1)
    """Published code, CIFAR-10 and SVHN."""
    learning_rate: float = Field(default=0.01, gt=0)
    """Published code, CIFAR-10 and SVHN: SGD with Nesterov momentum, divided by 10 after each quarter of the epochs."""
    momentum: float = Field(default=0.9, gt=0, lt=1)
    """Published code."""
    weight_decay: float = Field(default=5e-4, ge=0)
    """Published code."""
    rotation_weight: float = Field(default=1.0, ge=0)
    """l_S; paper and published code."""
    class_weight: float = Field(default=1.0, ge=0)
    """l_C; paper and published code."""
    diversity_weight: float = Field(default=1.0, ge=0)
    """l_D; paper and published code, which set it to 0 where the oracle is noisy; 0 saves the fine-tuning."""
    sub_query: float = Field(default=512 / 2500, gt=0, le=1)
    """Share of the budget that is picked at once: the paper's 512 of 2,500 on CIFAR-10."""
    fine_tuning_epochs: int = Field(default=5, ge=1)
    """Published code; by SGD without momentum and weight decay."""
    fine_tuning_rate: float = Field(default=0.1, gt=0)
    """Times the learning rate; published code."""

    @classmethod
    def smoke(cls) -> PAL:
        """A narrow network on small images, trained for a moment; two sub-queries of three."""
        return cls(width=8, pixels=16, epochs=1, batch=16, fine_tuning_epochs=1, sub_query=0.5)

    def select(self, ctx: Context) -> Selection:
        """Sub-query by sub-query the highest scores; each pick with the score that it had in its own."""
        network = self._trained(ctx)
        rotation, group = self._scores(ctx, network, ctx.candidates)
        base = self.rotation_weight * rotation + self.class_weight * group
        sizes = sub_queries(ctx.budget, self.sub_query if self.diversity_weight > 0 else 1.0)
        left, picks, scores = np.arange(len(ctx.candidates)), ctx.candidates[:0], [base[:0]]
        for size in sizes:
            total = base[torch.from_numpy(left).to(base.device)]
            if len(picks):
                tuned = self._tuned(ctx, network, picks)
                total = total + self.diversity_weight * self._scores(ctx, tuned, ctx.candidates[left])[0]
            finite(total, "PAL scores")
            with ctx.learner.clock.phase("pick"):
                order = total.sort(descending=True, stable=True).indices[:size]
                scores.append(total[order])
                picks = np.concatenate([picks, ctx.candidates[left[order.cpu().numpy()]]])
                left = np.delete(left, order.cpu().numpy())
        return Selection(picks, torch.cat(scores).cpu())

    def _trained(self, ctx: Context) -> ScoringNetwork:
        """The scoring network, trained on the labeled images, in evaluation mode."""
        groups = ctx.labeled_groups()
        with seeded(ctx.rng):
            network = ScoringNetwork(self.width, self.stem, max(1, groups.shape[1]))
        network = placed(network, ctx.learner.task.device).train()
        targets = group_targets(groups).to(ctx.learner.task.device)

        def loss(rows: Ids) -> Tensor:
            logits = network(flipped(ctx.images(ctx.labeled[rows], self.pixels), ctx.rng))
            wanted = targets[torch.from_numpy(rows).to(targets.device)]
            return rotation_loss(logits.rotation) + (group_loss(logits.group, wanted) if groups.shape[1] else 0)

        optimizer = SGD(network.parameters(), self.learning_rate, self.momentum, 0, self.weight_decay, nesterov=True)
        epochs = Epochs(np.arange(len(ctx.labeled)), self.batch, self.epochs, ctx.rng)
        quarters = [max(1, round(self.epochs * share)) for share in (0.25, 0.5, 0.75)]
        train(optimizer, epochs, loss, "loss of PAL's scoring network", MultiStepLR(optimizer, quarters))
        return network.eval()

    def _tuned(self, ctx: Context, network: ScoringNetwork, picks: Ids) -> ScoringNetwork:
        """A copy of the scoring network, trained on the rotations of the picks, in evaluation mode."""
        tuned = copy.deepcopy(network).train()

        def loss(ids: Ids) -> Tensor:
            return rotation_loss(tuned(flipped(ctx.images(ids, self.pixels), ctx.rng)).rotation)

        optimizer = SGD(tuned.parameters(), self.learning_rate * self.fine_tuning_rate)
        epochs = Epochs(picks, self.batch, self.fine_tuning_epochs, ctx.rng)
        train(optimizer, epochs, loss, "loss of PAL's fine-tuning", None)
        return tuned.eval()

    def _scores(self, ctx: Context, network: ScoringNetwork, ids: Ids) -> tuple[Tensor, Tensor]:
        """S_S and S_C of all images, under a network in evaluation mode."""
        rotation, group = [], []
        with torch.no_grad():
            for part in consecutive(ids, self.batch):
                logits = network(ctx.images(part, self.pixels))
                rotation.append(rotation_scores(logits.rotation))
                group.append(group_scores(logits.group))
        return torch.cat(rotation), torch.cat(group)
