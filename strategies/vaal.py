"""VAAL: a discriminator tells labeled from unlabeled images in the latent space of an autoencoder."""

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
from strategies.kernels.networks import (
    CheckedOptimizer,
    Epochs,
    endless_batches,
    ordered_batches,
    random_flip,
    to_device,
)
from tasks.base import Ids
from tasks.models.settings import MOST_CHANNELS, MOST_PIXELS
from tasks.settings import Number, Whole
from tasks.training.seeding import seeded

HALVINGS = 4
"""Number of encoder layers, each of which halves the side of its input."""


class Autoencoder(nn.Module):
    """A convolutional beta-VAE with an optionally conditional decoder (Sinha et al. 2019, published code).

    The encoder halves an image four times, from `width` to 8 `width` channels, each time by a 4x4 convolution, batch
    norm and ReLU; two linear layers give mean and log-variance of the latent vector. The decoder mirrors the encoder,
    but starts at an eighth of the image's side and ends in a 1x1 convolution.

    Args:
        pixels: side of the images; a multiple of 16.
        width: channels of the first layer.
        latent: size of the latent vector.
        conditions: number of conditioning values that the decoder reads besides the latent vector.
    """

    def __init__(self, pixels: int, width: int, latent: int, conditions: int) -> None:
        super().__init__()
        channels = [width * 2**layer for layer in range(HALVINGS)]
        encoder = [_down(inputs, outputs) for inputs, outputs in zip([3, *channels], channels, strict=False)]
        self.encoder = nn.Sequential(*encoder, nn.Flatten())
        features = channels[-1] * (pixels // 2**HALVINGS) ** 2
        self.mean, self.log_variance = nn.Linear(features, latent), nn.Linear(features, latent)
        side = pixels // 2 ** (HALVINGS - 1)
        ups = [_up(inputs, outputs) for inputs, outputs in zip(channels[:0:-1], channels[-2::-1], strict=True)]
        self.decoder = nn.Sequential(
            nn.Linear(latent + conditions, channels[-1] * side**2),
            nn.Unflatten(1, (channels[-1], side, side)),
            *ups,
            nn.Conv2d(width, 3, 1),
        )

    def encode(self, images: Float[Tensor, "n 3 s s"]) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        """Mean and log-variance of each image's latent vector."""
        features = self.encoder(images)
        return self.mean(features), self.log_variance(features)

    def decode(self, latent: Float[Tensor, "n z"], conditions: Float[Tensor, "n c"]) -> Float[Tensor, "n 3 s s"]:
        """Images decoded from latent vectors and conditions."""
        return self.decoder(torch.cat([latent, conditions], 1))


def _down(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def build_discriminator(inputs: int, hidden: int) -> nn.Sequential:
    """A network with two hidden layers and one logit, which is positive if an image is predicted to be labeled."""
    layers = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)]
    for layer in layers[::2]:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.Flatten(0))


def kl_to_standard_normal(mean: Float[Tensor, "n z"], log_variance: Float[Tensor, "n z"]) -> Float[Tensor, " n"]:
    """KL(N(mean, variance) || N(0, 1)), summed over the latent dimensions, in nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


def autoencoder_losses(
    images: Float[Tensor, "n 3 s s"],
    decoded: Float[Tensor, "n 3 s s"],
    mean: Float[Tensor, "n z"],
    log_variance: Float[Tensor, "n z"],
    beta: float,
) -> Float[Tensor, " n"]:
    """Negative evidence lower bound of each image (equation 1): squared error plus beta times the KL divergence.

    The terms are means over pixels and over latent dimensions, so that both, and the adversarial loss, have a similar
    magnitude, as weights of 1 assume.
    """
    reconstruction = (decoded - images).square().mean((1, 2, 3))
    return reconstruction + beta * kl_to_standard_normal(mean, log_variance) / mean.shape[1]


def labeled_cross_entropy(logits: Float[Tensor, " n"], labeled: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Binary cross-entropy of each image (equations 2 and 4); the target is 1 for labeled, 0 for unlabeled."""
    return functional.binary_cross_entropy_with_logits(logits, labeled, reduction="none")


@dataclass(frozen=True)
class Batch:
    """A batch of labeled images followed by candidates."""

    images: Float[Tensor, "n 3 s s"]
    conditions: Float[Tensor, "n c"]
    labeled: Float[Tensor, " n"]
    """1 for labeled images, 0 for candidates."""

    def balanced_sum(self, losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The mean over the labeled images plus the mean over the candidates."""
        weights = self.labeled / self.labeled.sum() + (1 - self.labeled) / (1 - self.labeled).sum()
        return (weights * losses).sum()


@dataclass(frozen=True)
class Networks:
    """The autoencoder and the discriminator, which are trained against each other."""

    autoencoder: Autoencoder
    discriminator: nn.Sequential

    def logits(self, images: Float[Tensor, "n 3 s s"], conditions: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
        """Log-odds that each image is labeled, by the discriminator."""
        return self.latent_logits(self.autoencoder.encode(images)[0], conditions)

    def latent_logits(self, mean: Float[Tensor, "n z"], conditions: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
        """The same from the mean of the latent vector."""
        return self.discriminator(torch.cat([mean, conditions], 1))


class VAAL(Strategy):
    """Picks images that a discriminator predicts to be unlabeled (Sinha, Ebrahimi & Darrell 2019, algorithms 1 and 2).

    A beta-VAE encodes labeled images and candidates, and is trained so that the discriminator predicts all of them to
    be labeled. The discriminator reads the mean of the latent vector, and is trained to tell labeled images from
    candidates. The two take steps in turn. The score is the log-odds of being unlabeled.

    Differs from the published code in that labeled images and candidates are in one batch, so that batch norm, which
    would center the two sets separately, cannot hide their difference; candidates are scored in evaluation mode; the KL
    divergence is averaged, because its sum over the batch drives the latent vectors towards zero; an epoch runs over
    the labeled images, not over the whole data set; training images are randomly flipped; and the autoencoder takes one
    step per turn, not two.
    """

    name: ClassVar[str] = "vaal"
    paper: ClassVar[str] = "Sinha, Ebrahimi & Darrell 2019"
    kind: ClassVar[Kind] = "adversarial"
    reads: ClassVar[str] = "images"
    cost: ClassVar[str] = "2 E L passes of its autoencoder to train, N of its encoder; E epochs"

    pixels: Whole = Field(default=32, ge=16, le=MOST_PIXELS, multiple_of=16)
    """Side of the networks' input images, as for CIFAR in the paper. The comments in the published code assume 64."""
    width: Whole = Field(default=128, ge=1, le=MOST_CHANNELS)
    """Channels of the autoencoder's first layer; published code. 128 costs 0.5 GMAC per image: use fewer on a CPU."""
    latent: Whole = Field(default=32, ge=1, le=65_536)
    """Size of the latent vector; the paper, for CIFAR."""
    hidden: Whole = Field(default=512, ge=1, le=65_536)
    """Size of the discriminator's two hidden layers; published code."""
    epochs: Whole = Field(default=100, ge=1, le=100_000)
    """Over the labeled images; the paper, for all data sets but ImageNet."""
    batch: Whole = Field(default=64, ge=1, le=65_536)
    """Number of labeled images per step, and of candidates; the paper."""
    learning_rate: Number = Field(default=5e-4, gt=0, le=1000)
    """Of Adam, for both networks; the paper."""
    beta: Number = Field(default=1.0, ge=0, le=1e6)
    """Weight of the KL divergence; published code."""
    adversary_weight: Number = Field(default=1.0, ge=0, le=1e6)
    """Weight of the adversarial loss of the autoencoder, the paper's lambda_2 / lambda_1; published code."""

    @classmethod
    def smoke(cls) -> VAAL:
        """Narrow networks on small images, two epochs."""
        return cls(pixels=16, width=8, latent=4, hidden=16, epochs=2, batch=8)

    def conditions(self, ctx: Context) -> tuple[Float[Tensor, "l c"], Float[Tensor, "n c"]]:
        """Conditions of labeled images and candidates, which decoder and discriminator read; none in VAAL."""
        device = ctx.learner.task.device
        return torch.zeros(len(ctx.labeled), 0, device=device), torch.zeros(len(ctx.candidates), 0, device=device)

    def select(self, ctx: Context) -> Selection:
        """Pick the candidates with the highest log-odds of being unlabeled."""
        labeled, candidates = self.conditions(ctx)
        networks = self._trained(ctx, labeled, candidates)
        logits = []
        with torch.no_grad():
            for rows in ordered_batches(np.arange(len(ctx.candidates)), self.batch):
                images = ctx.images(ctx.candidates[rows], self.pixels)
                logits.append(networks.logits(images, candidates[rows[0] : rows[-1] + 1]))
        return highest(ctx, -torch.cat(logits))

    def _trained(self, ctx: Context, labeled: Tensor, candidates: Tensor) -> Networks:
        """Both networks, trained on labeled images and candidates with these conditions, in evaluation mode."""
        networks = self._untrained(ctx, labeled.shape[1])
        noise = torch.Generator(ctx.learner.task.device).manual_seed(int(ctx.rng.integers(2**63)))
        epochs = Epochs(np.arange(len(ctx.labeled)), self.batch, self.epochs, ctx.rng)
        candidate_batches = endless_batches(np.arange(len(ctx.candidates)), self.batch, ctx.rng)
        autoencoder, discriminator = (
            CheckedOptimizer(Adam(module.parameters(), self.learning_rate), epochs.steps, f"loss of VAAL's {name}")
            for module, name in ((networks.autoencoder, "autoencoder"), (networks.discriminator, "discriminator"))
        )
        for batches in epochs:
            for rows in batches:
                batch = self._batch(ctx, (rows, next(candidate_batches)), (labeled, candidates))
                autoencoder.step(self._autoencoder_loss(networks, batch, noise))
                discriminator.step(discriminator_loss(networks, batch))
            autoencoder.check()
            discriminator.check()
        return Networks(networks.autoencoder.eval(), networks.discriminator.eval())

    def _untrained(self, ctx: Context, conditions: int) -> Networks:
        with seeded(ctx.rng):
            autoencoder = Autoencoder(self.pixels, self.width, self.latent, conditions)
            discriminator = build_discriminator(self.latent + conditions, self.hidden)
        device = ctx.learner.task.device
        return Networks(to_device(autoencoder, device).train(), to_device(discriminator, device).train())

    def _batch(self, ctx: Context, rows: tuple[Ids, Ids], conditions: tuple[Tensor, Tensor]) -> Batch:
        """A batch of the labeled images and the candidates at these indices, randomly flipped.

        Args:
            ctx: of the round.
            rows: indices into the labeled images, and into the candidates.
            conditions: of all labeled images, and of all candidates.
        """
        ids = np.concatenate([ctx.labeled[rows[0]], ctx.candidates[rows[1]]])
        batch_conditions = [
            values[torch.from_numpy(indices).to(values.device)]
            for values, indices in zip(conditions, rows, strict=True)
        ]
        labeled = torch.arange(len(ids), device=batch_conditions[0].device) < len(rows[0])
        images = random_flip(ctx.images(ids, self.pixels), ctx.rng)
        return Batch(images, torch.cat(batch_conditions), labeled.float())

    def _autoencoder_loss(self, networks: Networks, batch: Batch, noise: torch.Generator) -> Float[Tensor, ""]:
        """Negative evidence lower bound plus the adversarial loss, with all images as labeled (equation 3)."""
        mean, log_variance = networks.autoencoder.encode(batch.images)
        standard_normal = torch.randn(mean.shape, generator=noise, device=mean.device)
        decoded = networks.autoencoder.decode(mean + (log_variance / 2).exp() * standard_normal, batch.conditions)
        own = autoencoder_losses(batch.images, decoded, mean, log_variance, self.beta)
        logits = networks.latent_logits(mean, batch.conditions)
        adversarial = labeled_cross_entropy(logits, torch.ones_like(batch.labeled))
        return batch.balanced_sum(own + self.adversary_weight * adversarial)


def discriminator_loss(networks: Networks, batch: Batch) -> Float[Tensor, ""]:
    """Cross-entropy of telling labeled images from candidates (equation 4); no gradient reaches the autoencoder."""
    with torch.no_grad():
        mean, _ = networks.autoencoder.encode(batch.images)
    return batch.balanced_sum(labeled_cross_entropy(networks.latent_logits(mean, batch.conditions), batch.labeled))
