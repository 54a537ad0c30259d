"""PAL, VAAL and TA-VAAL trained on pictures: how surely they pick the kind that is not labeled."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from margin import Margin
from pictures import SIDE, Corner, bright_above, context, noise, with_corners

from strategies.base import Context, Selection
from strategies.pal import PAL, ScoringNetwork
from strategies.ta_vaal import TAVAAL
from strategies.vaal import VAAL

UPRIGHT = PAL(
    pixels=SIDE, width=8, stem="cifar", epochs=6, batch=8, learning_rate=0.1, sub_query=1.0, fine_tuning_rate=1.0
)


@cache
def novice(seed: int) -> tuple[Context, ScoringNetwork]:
    """40 upright images are labeled, and the network has seen them; candidates are 20 upright and 20 upside down."""
    images = torch.cat([bright_above(60, 10 * seed + 1), bright_above(20, 10 * seed + 2).flip(2)])
    ctx = context(images, 40, 20, seed=seed)
    return ctx, UPRIGHT._trained(ctx)


def novel_picks(seed: int) -> Selection:
    """What PAL picks under the novice."""
    ctx, network = novice(seed)
    return type("Trained", (PAL,), {"_trained": lambda *_: network})(**UPRIGHT.model_dump()).select(ctx)


def share_upside_down(seed: int) -> float:
    """Of PAL's 20 picks."""
    return float((novel_picks(seed).ids >= 60).mean())


def least_novelty(seed: int) -> float:
    """The lowest score of PAL's picks, from -4 (known) to 0."""
    return float(novel_picks(seed).scores.min())


def lost_novelty(seed: int) -> float:
    """By how much ten images upside down become less novel when ten others have been picked."""
    ctx, network = novice(seed)
    others = np.arange(70, 80)
    before, _ = UPRIGHT._scores(ctx, network, others)
    after, _ = UPRIGHT._scores(ctx, UPRIGHT._tuned(ctx, network, np.arange(60, 70)), others)
    return float((before - after).mean())


def share_of_no_class(seed: int) -> float:
    """Of PAL's picks by classes alone: bright and dark are the classes, 16 of 48 candidates are gray.

    Random picks would give a third.
    """
    brightness = ((20, 40), (20, 210), (16, 40), (16, 210), (16, 125))
    images = torch.cat([noise(count, mean, 10 * seed + place) for place, (count, mean) in enumerate(brightness, 1)])
    groups = torch.arange(40)[:, None] // 20 == torch.arange(2)
    pal = PAL(pixels=SIDE, width=8, stem="cifar", epochs=24, batch=8, rotation_weight=0, diversity_weight=0)
    return float((pal.select(context(images, 40, 16, seed=seed, groups=groups)).ids >= 72).mean())


def share_dark(seed: int) -> float:
    """Of VAAL's 20 picks, where 60 bright images are labeled and 30 of each kind are candidates."""
    images = torch.cat([noise(90, 190, 10 * seed + 1), noise(30, 70, 10 * seed + 2)])
    vaal = VAAL(pixels=SIDE, width=8, latent=8, hidden=64, epochs=12, batch=16, learning_rate=2e-3)
    return float((vaal.select(context(images, 60, 20, seed=seed)).ids >= 90).mean())


def share_of_other_losses(strategy: type[VAAL], seed: int) -> float:
    """Of ten picks, where low predicted losses are labeled and half of the candidates have high ones."""
    images = with_corners([60] * 40 + [60] * 20 + [180] * 20, seed)
    chosen = strategy(pixels=SIDE, width=4, latent=4, hidden=64, epochs=12, batch=16, learning_rate=2e-3)
    return float((chosen.select(context(images, 40, 10, seed=seed, lossnet=Corner())).ids >= 60).mean())


PAL_NOVEL = Margin("PAL: share of picks that are upside down", share_upside_down, above=0.9)
PAL_SCORE = Margin("PAL: lowest score of a pick that is upside down", least_novelty, above=-2.0)
PAL_TUNED = Margin("PAL: novelty lost by fine-tuning", lost_novelty, above=1.0)
PAL_CLASS = Margin("PAL: share of picks that are of no class", share_of_no_class, above=0.7)
VAAL_DARK = Margin("VAAL: share of picks that are of the kind not labeled", share_dark, above=0.9)
TA_VAAL = Margin(
    "TA-VAAL: share of picks with losses not labeled", lambda seed: share_of_other_losses(TAVAAL, seed), above=0.9
)
VAAL_ALONE = Margin(
    "VAAL: share of picks with losses not labeled", lambda seed: share_of_other_losses(VAAL, seed), below=0.9
)
MARGINS = (PAL_NOVEL, PAL_SCORE, PAL_TUNED, PAL_CLASS, VAAL_DARK, TA_VAAL, VAAL_ALONE)
