"""An adversary that tells labeled from unlabeled images in the latent space of an autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from strategies.base import Context, Kind, Selection, Strategy, highest
from strategies.kernels.networks import Descent, Epochs, consecutive, endless, flipped, placed
from tasks.base import Ids
from tasks.training.seeding import seeded

HALVINGS = 4
"""How often the encoder halves an image."""


class Autoencoder(nn.Module):
    """A convolutional beta-VAE whose decoder may be told more than the latent (Sinha et al. 2019, as published in code).

    The encoder halves an image four times, from `width` to 8 `width` channels, each by a 4x4 convolution, batch norm and
    ReLU; two linear layers give mean and log-variance of the latent. The decoder is its mirror image, but begins at an
    eighth of the image's side and ends in a 1x1 convolution.

    Args:
        pixels: side of the images; a multiple of 16.
        width: channels of the first layer.
        latent: size of the latent.
        conditions: how many numbers the decoder is told besides.
    """

    def __init__(self, pixels: int, width: int, latent: int, conditions: int) -> None:
        super().__init__()
        channels = [width * 2**layer for layer in range(HALVINGS)]
        encoder = [_down(inward, outward) for inward, outward in zip([3, *channels], channels, strict=False)]
        self.encoder = nn.Sequential(*encoder, nn.Flatten())
        features = channels[-1] * (pixels // 2**HALVINGS) ** 2
        self.mean, self.log_variance = nn.Linear(features, latent), nn.Linear(features, latent)
        side = pixels // 2 ** (HALVINGS - 1)
        ups = [_up(inward, outward) for inward, outward in zip(channels[:0:-1], channels[-2::-1], strict=True)]
        self.decoder = nn.Sequential(
            nn.Linear(latent + conditions, channels[-1] * side**2),
            nn.Unflatten(1, (channels[-1], side, side)),
            *ups,
            nn.Conv2d(width, 3, 1),
        )

    def encode(self, images: Float[Tensor, "n 3 s s"]) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        """Mean and log-variance of the latent of each image."""
        features = self.encoder(images)
        return self.mean(features), self.log_variance(features)

    def decode(self, latent: Float[Tensor, "n z"], conditions: Float[Tensor, "n c"]) -> Float[Tensor, "n 3 s s"]:
        """The images that latents and conditions stand for."""
        return self.decoder(torch.cat([latent, conditions], 1))


def _down(inward: int, outward: int) -> nn.Sequential:
    convolution = nn.Conv2d(inward, outward, 4, 2, 1, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, nn.BatchNorm2d(outward), nn.ReLU())


def _up(inward: int, outward: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inward, outward, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outward), nn.ReLU())


def discriminator(inputs: int, hidden: int) -> nn.Sequential:
    """Two hidden layers and a logit: positive where an image is held for labeled."""
    layers = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)]
    for layer in layers[::2]:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.Flatten(0))


def divergence(mean: Float[Tensor, "n z"], log_variance: Float[Tensor, "n z"]) -> Float[Tensor, " n"]:
    """KL(N(mean, variance) || N(0, 1)), summed over the latent; nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


def autoencoding_losses(
    images: Float[Tensor, "n 3 s s"],
    decoded: Float[Tensor, "n 3 s s"],
    mean: Float[Tensor, "n z"],
    log_variance: Float[Tensor, "n z"],
    beta: float,
) -> Float[Tensor, " n"]:
    """Negative evidence lower bound of each image (equation 1): squared error, and beta times the divergence.

    Means over pixels and over the latent: both terms and the adversary's are then of one size, as weights of 1 want it.
    """
    return (decoded - images).square().mean((1, 2, 3)) + beta * divergence(mean, log_variance) / mean.shape[1]


def held_for(logits: Float[Tensor, " n"], labeled: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Binary cross-entropy of each image, with 1 for labeled (equations 2 and 4)."""
    return functional.binary_cross_entropy_with_logits(logits, labeled, reduction="none")


@dataclass(frozen=True)
class Shown:
    """What the networks are shown at once: some labeled images, then some candidates."""

    images: Float[Tensor, "n 3 s s"]
    conditions: Float[Tensor, "n c"]
    labeled: Float[Tensor, " n"]
    """1 for labeled images, 0 for candidates."""

    def of_both(self, losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """Mean over the labeled images plus mean over the candidates."""
        shares = self.labeled / self.labeled.sum() + (1 - self.labeled) / (1 - self.labeled).sum()
        return (shares * losses).sum()


@dataclass(frozen=True)
class Pair:
    """The two networks that play against each other."""

    autoencoder: Autoencoder
    discriminator: nn.Sequential

    def logits(self, images: Float[Tensor, "n 3 s s"], conditions: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
        """How surely each image is held for labeled, from the mean of its latent."""
        return self.judged(self.autoencoder.encode(images)[0], conditions)

    def judged(self, mean: Float[Tensor, "n z"], conditions: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
        """The same, from the mean of the latent."""
        return self.discriminator(torch.cat([mean, conditions], 1))


class VAAL(Strategy):
    """Picks what a discriminator holds for unlabeled most surely (Sinha, Ebrahimi & Darrell 2019, algorithms 1 and 2).

    A beta-VAE encodes labeled images and candidates, and wants the discriminator to hold all of them for labeled; the
    discriminator, on the mean of the latent, wants to tell them apart. They step in turn. The score is the log-odds.

    Differs from the published code in that labeled images and candidates pass in one batch, so that batch norm, which
    would center each kind by itself, cannot hide what sets them apart; candidates are scored in evaluation mode; the
    divergence is averaged, where summing it over the batch drives the latent towards zero; an epoch runs over the labeled
    images, not over the whole data set; training images are mirrored at random; and the autoencoder takes one step a
    turn, not two.
    """

    name: ClassVar[str] = "vaal"
    paper: ClassVar[str] = "Sinha, Ebrahimi & Darrell 2019"
    kind: ClassVar[Kind] = "adversarial"
    reads: ClassVar[str] = "images"
    cost: ClassVar[str] = "2 E L passes of its autoencoder to train, N of its encoder; E epochs"

    pixels: int = Field(default=32, ge=16, multiple_of=16)
    """Side of its images; CIFAR's, as in the paper. The published layers are annotated for 64: larger images get that."""
    width: int = Field(default=128, ge=1)
    """Channels of the autoencoder's first layer; published code. 128 costs 0.5 GMAC an image: on a CPU take less."""
    latent: int = Field(default=32, ge=1)
    """Of the paper, for CIFAR."""
    hidden: int = Field(default=512, ge=1)
    """Of the discriminator's two hidden layers; published code."""
    epochs: int = Field(default=100, ge=1)
    """Of the paper, for all but ImageNet; over the labeled images."""
    batch: int = Field(default=64, ge=1)
    """Of the paper; as many labeled images and as many candidates."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Of the paper; Adam, for both networks."""
    beta: float = Field(default=1.0, ge=0)
    """Weight of the divergence; published code."""
    adversary_weight: float = Field(default=1.0, ge=0)
    """The paper's lambda_2 over lambda_1; published code."""

    @classmethod
    def smoke(cls) -> VAAL:
        """Narrow networks on small images, trained for a moment."""
        return cls(pixels=16, width=8, latent=4, hidden=16, epochs=2, batch=8)

    def conditions(self, ctx: Context) -> tuple[Float[Tensor, "l c"], Float[Tensor, "n c"]]:
        """What decoder and discriminator are told of labeled images and candidates besides the latent: nothing."""
        device = ctx.learner.task.device
        return torch.zeros(len(ctx.labeled), 0, device=device), torch.zeros(len(ctx.candidates), 0, device=device)

    def select(self, ctx: Context) -> Selection:
        """The candidates with the highest log-odds of being unlabeled."""
        labeled, candidates = self.conditions(ctx)
        pair = self._trained(ctx, labeled, candidates)
        logits = []
        with torch.no_grad():
            for rows in consecutive(np.arange(len(ctx.candidates)), self.batch):
                images = ctx.images(ctx.candidates[rows], self.pixels)
                logits.append(pair.logits(images, candidates[rows[0] : rows[-1] + 1]))
        return highest(ctx, -torch.cat(logits))

    def _trained(self, ctx: Context, labeled: Tensor, candidates: Tensor) -> Pair:
        """Both networks, trained on labeled images and candidates, in evaluation mode."""
        pair = self._untrained(ctx, labeled.shape[1])
        noise = torch.Generator(ctx.learner.task.device).manual_seed(int(ctx.rng.integers(2**63)))
        epochs = Epochs(np.arange(len(ctx.labeled)), self.batch, self.epochs, ctx.rng)
        others = endless(np.arange(len(ctx.candidates)), self.batch, ctx.rng)
        autoencoding, judging = (
            Descent(Adam(module.parameters(), self.learning_rate), epochs.steps, f"loss of VAAL's {what}")
            for module, what in ((pair.autoencoder, "autoencoder"), (pair.discriminator, "discriminator"))
        )
        for batches in epochs:
            for rows in batches:
                shown = self._shown(ctx, (rows, next(others)), (labeled, candidates))
                autoencoding.step(self._autoencoding_loss(pair, shown, noise))
                judging.step(judging_loss(pair, shown))
            autoencoding.check()
            judging.check()
        return Pair(pair.autoencoder.eval(), pair.discriminator.eval())

    def _untrained(self, ctx: Context, conditions: int) -> Pair:
        with seeded(ctx.rng):
            autoencoder = Autoencoder(self.pixels, self.width, self.latent, conditions)
            adversary = discriminator(self.latent + conditions, self.hidden)
        device = ctx.learner.task.device
        return Pair(placed(autoencoder, device).train(), placed(adversary, device).train())

    def _shown(self, ctx: Context, rows: tuple[Ids, Ids], conditions: tuple[Tensor, Tensor]) -> Shown:
        """One batch of labeled images and candidates, given by their rows, as one."""
        ids = np.concatenate([ctx.labeled[rows[0]], ctx.candidates[rows[1]]])
        told = [each[torch.from_numpy(part).to(each.device)] for each, part in zip(conditions, rows, strict=True)]
        labeled = torch.arange(len(ids), device=told[0].device) < len(rows[0])
        return Shown(flipped(ctx.images(ids, self.pixels), ctx.rng), torch.cat(told), labeled.float())

    def _autoencoding_loss(self, pair: Pair, shown: Shown, noise: torch.Generator) -> Float[Tensor, ""]:
        """What the autoencoder wants low: its own losses, and to have all held for labeled (equation 3)."""
        mean, log_variance = pair.autoencoder.encode(shown.images)
        drawn = torch.randn(mean.shape, generator=noise, device=mean.device)
        decoded = pair.autoencoder.decode(mean + (log_variance / 2).exp() * drawn, shown.conditions)
        own = autoencoding_losses(shown.images, decoded, mean, log_variance, self.beta)
        fooled = held_for(pair.judged(mean, shown.conditions), torch.ones_like(shown.labeled))
        return shown.of_both(own + self.adversary_weight * fooled)


def judging_loss(pair: Pair, shown: Shown) -> Float[Tensor, ""]:
    """What the discriminator wants low: taking labeled images and candidates for each other (equation 4)."""
    with torch.no_grad():
        mean, _ = pair.autoencoder.encode(shown.images)
    return shown.of_both(held_for(pair.judged(mean, shown.conditions), shown.labeled))
