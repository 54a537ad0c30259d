"""The page of a labeling round."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard.site.tables import number
from lossbench.labeling.drawing import Color, class_colors
from lossbench.labeling.outcome import Outcome, Pick
from lossbench.words import plural

SHOWN_CLASSES = 20
"""Rows of the table of classes; of more, those whose shares differ most."""


def page(outcome: Outcome) -> str:
    """The HTML text of `index.html`: it loads the pictures beside it, and nothing else."""
    environment = Environment(
        loader=PackageLoader("lossbench.labeling"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"plural": plural, "number": number, "picture": picture_name}
    style = files("leaderboard.site").joinpath("templates/style.css").read_text(encoding="utf-8")
    return environment.get_template("round.html").render(
        round=outcome, style=style, classes=_classes(outcome), legend=_legend(outcome)
    )


def picture_name(pick: Pick) -> str:
    """The path of a pick's picture in the folder of its round."""
    return f"pictures/{pick.rank:05}.jpg"


def _classes(outcome: Outcome) -> list[tuple[str, float, float]]:
    """Classes with their shares of the labels predicted in the pool and in the picks; none of joints, which all images have."""
    if any(pick.prediction.points for pick in outcome.picks):
        return []
    pool, picks = outcome.pool_classes, outcome.pick_classes
    rows = [
        (name, pool.get(name, 0.0), picks.get(name, 0.0))
        for name in outcome.class_names
        if name in pool or name in picks
    ]
    return sorted(rows, key=lambda row: -abs(row[2] - row[1]))[:SHOWN_CLASSES]


def _legend(outcome: Outcome) -> dict[str, Color]:
    """The colors of what is drawn without a name beside it: regions and joints."""
    unnamed = any(pick.prediction.regions or pick.prediction.points for pick in outcome.picks)
    return class_colors(outcome.class_names) if unnamed else {}
