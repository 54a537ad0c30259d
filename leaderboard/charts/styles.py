"""How strategies are drawn: the same color, dash and shape wherever they appear."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD

# Okabe & Ito (2008), "Color universal design": told apart under every common color vision. Their black is a grey here,
# seen on white and on black paper alike; their yellow is left out, for it is faint on white.
GREY, BLUE, VERMILLION, GREEN = "#868686", "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, ORANGE = "#CC79A7", "#56B4E9", "#E69F00"
PALETTE = (GREY, BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE)
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))
SHAPES = ("circle", "square", "triangle-up", "diamond")
"""When the palette runs out it starts again with the next dash and the next shape, so that points differ as lines do."""


class Style(NamedTuple):
    """How a strategy is drawn wherever it appears."""

    color: str
    dash: tuple[int, ...]
    shape: str = SHAPES[0]


RESERVED = {
    BASELINE: Style(GREY, DASHES[0]),
    REFERENCE_METHOD: Style(VERMILLION, DASHES[0]),
    "entropy": Style(BLUE, DASHES[0]),
    "core-set": Style(GREEN, DASHES[0]),
    "badge": Style(PURPLE, DASHES[0]),
}


def styles(strategies: Iterable[str]) -> dict[str, Style]:
    """A style for each strategy: its own where one is reserved, otherwise the next free one, in the order of names."""
    names = sorted(set(strategies))
    every = [
        Style(color, dash, SHAPES[(place + turn) % len(SHAPES)])
        for turn in range(len(SHAPES))
        for place, dash in enumerate(DASHES)
        for color in PALETTE
    ]
    free = [style for style in every if style not in RESERVED.values()]
    strangers = [name for name in names if name not in RESERVED]
    given = {name: free[place % len(free)] for place, name in enumerate(strangers)}
    return {name: given.get(name) or RESERVED[name] for name in names}
