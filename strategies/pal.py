"""PAL: novelty for a network that learns rotations and groups of the labeled images."""

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
from strategies.kernels.networks import Epochs, ordered_batches, random_flip, to_device, train
from tasks.base import Ids
from tasks.models.settings import MOST_CHANNELS, MOST_PIXELS
from tasks.settings import Number, Whole
from tasks.training.seeding import seeded

ROTATIONS = 4
"""0, 90, 180 and 270 degrees (Gidaris et al. 2018)."""


class Logits(NamedTuple):
    """Outputs of the scoring network for n images."""

    rotation: Float[Tensor, "4 n 4"]
    """[r, i, s]: the logit of rotation s for image i, rotated r times by 90 degrees."""
    group: Float[Tensor, "n g"]
    """Logits of the groups, for the images that are not rotated."""


class ScoringNetwork(nn.Module):
    """ResNet-18 with two heads, which classify the rotation and the group (class)."""

    def __init__(self, width: int, stem: Literal["cifar", "half", "imagenet"], groups: int) -> None:
        from tasks.models.resnet import ResNet18Stages  # noqa: PLC0415 - torchvision takes two seconds to import

        super().__init__()
        self.stages = ResNet18Stages(width, stem)
        self.rotation = nn.Linear(self.stages.channels[-1], ROTATIONS)
        self.group = nn.Linear(self.stages.channels[-1], groups)

    def forward(self, images: Float[Tensor, "n 3 s s"]) -> Logits:
        """Logits of square images; all four rotations are forwarded as one batch."""
        features = self.stages(all_rotations(images))[-1].mean((2, 3))
        return Logits(self.rotation(features).unflatten(0, (ROTATIONS, -1)), self.group(features[: len(images)]))


def all_rotations(images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "r 3 s s"]:
    """All images unchanged, then all rotated by 90, by 180 and by 270 degrees: r = 4 n."""
    rotated = torch.cat([images.rot90(times, (2, 3)) for times in range(ROTATIONS)])
    return rotated.contiguous(memory_format=torch.channels_last)


def rotation_loss(logits: Float[Tensor, "4 n 4"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the rotation classification."""
    return -logits.log_softmax(2).diagonal(dim1=0, dim2=2).mean()


def group_loss(logits: Float[Tensor, "n g"], targets: Float[Tensor, "n g"]) -> Float[Tensor, ""]:
    """Mean cross-entropy with soft targets over the images that have a group; 0 if no image has one."""
    return -(targets * logits.log_softmax(1)).sum() / (targets.sum(1) > 0).sum().clamp(min=1)


def group_targets(groups: Bool[Tensor, "n g"]) -> Float[Tensor, "n g"]:
    """Soft targets: the uniform distribution over an image's groups; zeros for an image without a group."""
    return groups.float() / groups.sum(1, keepdim=True).clamp(min=1)


def rotation_scores(logits: Float[Tensor, "4 n 4"]) -> Float[Tensor, " n"]:
    """S_S: minus the sum of the probabilities of the true rotations, from -4 (all recognized) to 0 (none)."""
    return -logits.softmax(2).diagonal(dim1=0, dim2=2).sum(1)


def group_scores(logits: Float[Tensor, "n g"]) -> Float[Tensor, " n"]:
    """S_C: -KL(U || p) in nats, with the prediction p and the uniform distribution U; 0 if p is uniform."""
    return logits.log_softmax(1).mean(1) + math.log(logits.shape[1])


def sub_queries(budget: int, share: float) -> list[int]:
    """Sizes of the sub-queries: each this share of the budget, at least 1; the last is the remainder."""
    size = max(1, round(share * budget))
    return [min(size, budget - start) for start in range(0, budget, size)]


class PAL(Strategy):
    """Picks images that are novel to a network trained on the labeled images only (Bhatnagar et al. 2021).

    The network learns to classify the rotation and the group (class) of labeled images. The score of a candidate,
    S = l_S S_S + l_C S_C, is high if the network recognizes neither its rotations nor a class. The budget is split
    into sub-queries. From the second on, l_D S_D is added: S_S of a copy of the network that was fine-tuned on the
    rotations of all picks so far.

    The class target of an image with several groups is the uniform distribution over them; an image without a group is
    used for rotations only.

    Differs from the published code in that the network of the last epoch is taken, not the best on 5,000 further
    labels; training images are only flipped, whereas on CIFAR-10 the code also shifts them by up to 4 pixels;
    candidates are not augmented; the class head reads the upright images of the same batch, not a second forward pass;
    and KL is in nats, in the code in bits (class_weight = 1.4427 gives that). A flipped person keeps its pose cluster.
    """

    name: ClassVar[str] = "pal"
    paper: ClassVar[str] = "Bhatnagar, Goyal, Tank & Sethi 2021"
    kind: ClassVar[Kind] = "hybrid"
    reads: ClassVar[str] = "images, labeled groups"
    cost: ClassVar[str] = "4 x (E L to train + Q N to score) passes of its ResNet-18; E epochs, Q sub-queries"

    pixels: Whole = Field(default=32, ge=16, le=MOST_PIXELS)
    """Side of the network's input images, as for CIFAR in the paper. The published code reads Caltech-101 at 224."""
    width: Whole = Field(default=64, ge=1, le=MOST_CHANNELS)
    """Channels of the first stage; 64 is ResNet-18, the paper's scoring network."""
    stem: Literal["cifar", "half", "imagenet"] = "imagenet"
    """Published code: the 7x7 convolution and max-pool, also on images of 32 pixels."""
    epochs: Whole = Field(default=100, ge=1, le=100_000)
    """Published code, CIFAR-10 and SVHN."""
    batch: Whole = Field(default=64, ge=1, le=65_536)
    """Published code, CIFAR-10 and SVHN."""
    learning_rate: Number = Field(default=0.01, gt=0, le=1000)
    """Published code, CIFAR-10 and SVHN: SGD with Nesterov momentum, divided by 10 after each quarter of the epochs."""
    momentum: Number = Field(default=0.9, gt=0, lt=1)
    """Published code."""
    weight_decay: Number = Field(default=5e-4, ge=0, le=100)
    """Published code."""
    rotation_weight: Number = Field(default=1.0, ge=0, le=1e6)
    """l_S; paper and published code."""
    class_weight: Number = Field(default=1.0, ge=0, le=1e6)
    """l_C; paper and published code."""
    diversity_weight: Number = Field(default=1.0, ge=0, le=1e6)
    """l_D; paper and published code, which set it to 0 where the oracle is noisy; 0 saves the fine-tuning."""
    sub_query: Number = Field(default=512 / 2500, gt=0, le=1)
    """Share of the budget that is picked in one sub-query: the paper's 512 of 2,500 on CIFAR-10."""
    fine_tuning_epochs: Whole = Field(default=5, ge=1, le=100_000)
    """Published code; SGD without momentum and weight decay."""
    fine_tuning_rate: Number = Field(default=0.1, gt=0, le=1000)
    """Factor of the learning rate; published code."""

    @classmethod
    def smoke(cls) -> PAL:
        """A narrow network on small images, one epoch; two sub-queries of three."""
        return cls(width=8, pixels=16, epochs=1, batch=16, fine_tuning_epochs=1, sub_query=0.5)

    def select(self, ctx: Context) -> Selection:
        """Pick the highest scores, sub-query by sub-query; a pick's score is that of its own sub-query."""
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
        """A scoring network trained on the labeled images, in evaluation mode."""
        groups = ctx.labeled_groups()
        with seeded(ctx.rng):
            network = ScoringNetwork(self.width, self.stem, max(1, groups.shape[1]))
        network = to_device(network, ctx.learner.task.device).train()
        targets = group_targets(groups).to(ctx.learner.task.device)

        def loss(rows: Ids) -> Tensor:
            logits = network(random_flip(ctx.images(ctx.labeled[rows], self.pixels), ctx.rng))
            batch_targets = targets[torch.from_numpy(rows).to(targets.device)]
            return rotation_loss(logits.rotation) + (group_loss(logits.group, batch_targets) if groups.shape[1] else 0)

        optimizer = SGD(network.parameters(), self.learning_rate, self.momentum, 0, self.weight_decay, nesterov=True)
        epochs = Epochs(np.arange(len(ctx.labeled)), self.batch, self.epochs, ctx.rng)
        quarters = [max(1, round(self.epochs * share)) for share in (0.25, 0.5, 0.75)]
        train(optimizer, epochs, loss, "loss of PAL's scoring network", MultiStepLR(optimizer, quarters))
        return network.eval()

    def _tuned(self, ctx: Context, network: ScoringNetwork, picks: Ids) -> ScoringNetwork:
        """A copy of the scoring network fine-tuned on the rotations of the picks, in evaluation mode."""
        tuned = copy.deepcopy(network).train()

        def loss(ids: Ids) -> Tensor:
            return rotation_loss(tuned(random_flip(ctx.images(ids, self.pixels), ctx.rng)).rotation)

        optimizer = SGD(tuned.parameters(), self.learning_rate * self.fine_tuning_rate)
        epochs = Epochs(picks, self.batch, self.fine_tuning_epochs, ctx.rng)
        train(optimizer, epochs, loss, "loss of PAL's fine-tuning", None)
        return tuned.eval()

    def _scores(self, ctx: Context, network: ScoringNetwork, ids: Ids) -> tuple[Tensor, Tensor]:
        """S_S and S_C of all images, by a network in evaluation mode."""
        rotation, group = [], []
        with torch.no_grad():
            for batch in ordered_batches(ids, self.batch):
                logits = network(ctx.images(batch, self.pixels))
                rotation.append(rotation_scores(logits.rotation))
                group.append(group_scores(logits.group))
        return torch.cat(rotation), torch.cat(group)
