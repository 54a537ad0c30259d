"""The styles of strategies: a strategy has the same color, dash and shape in all charts of a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from leaderboard.scoring.entries import BASELINE, REFERENCE_METHOD

# Okabe & Ito (2008), "Color universal design": distinguishable with every common kind of color vision. Their black is replaced
# by a gray that is visible on a white and on a black background; their yellow is left out because it is faint on white. Gray is
# the color of random picks and of no other strategy, and vermillion that of learning loss: many charts show both beside another one.
GRAY, BLUE, VERMILLION, GREEN = "#868686", "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, ORANGE = "#CC79A7", "#56B4E9", "#E69F00"
PALETTE = (BLUE, GREEN, PURPLE, SKY, ORANGE)
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))
SHAPES = (
    "circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left", "arrow",
)  # fmt: skip
"""After the last color of the palette, styles repeat the colors with the next dash and shape. With 45 pairs of color and shape,
points differ, too."""
MARKS = {
    "circle": "M0-4a4 4 0 1 1 0 8a4 4 0 1 1 0-8z",
    "square": "M-3.5-3.5h7v7h-7z",
    "triangle-up": "M0-4.5l4.5 8.5h-9z",
    "diamond": "M0-5l5 5l-5 5l-5-5z",
    "triangle-down": "M0 4.5l4.5-8.5h-9z",
    "cross": "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "triangle-right": "M4.5 0l-8.5 4.5v-9z",
    "triangle-left": "M-4.5 0l8.5 4.5v-9z",
    "arrow": "M-1 4.5v-4.5h-2.5l3.5-5l3.5 5h-2.5v4.5z",
}
"""The shapes as SVG paths around the origin, for what no script draws."""


class Style(NamedTuple):
    """Color, dash and shape of a strategy in charts."""

    color: str
    dash: tuple[int, ...]
    shape: str = SHAPES[0]


RESERVED = {
    BASELINE: Style(GRAY, DASHES[0]),
    REFERENCE_METHOD: Style(VERMILLION, DASHES[0]),
    "entropy": Style(BLUE, DASHES[0]),
    "core-set": Style(GREEN, DASHES[0]),
    "badge": Style(PURPLE, DASHES[0]),
}


def styles(strategies: Iterable[str]) -> dict[str, Style]:
    """The styles of strategies by name: a reserved one if there is one, else the next free one in the order of names."""
    names = sorted(set(strategies))
    combinations = [
        Style(color, DASHES[(index + turn) % len(DASHES)], shape)
        for turn in range(len(DASHES))
        for index, shape in enumerate(SHAPES)
        for color in PALETTE
    ]
    free = [style for style in combinations if style not in RESERVED.values()]
    unreserved = [name for name in names if name not in RESERVED]
    assigned = {name: free[index % len(free)] for index, name in enumerate(unreserved)}
    return {name: assigned.get(name) or RESERVED[name] for name in names}
