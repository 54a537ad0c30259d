"""The penalty matrix as a heat map."""

from __future__ import annotations

import math

from leaderboard.charts.marks import Spec, layer, names, quantity
from leaderboard.scoring.sections import Section

CELL_PIXELS = 26


def penalty_chart(section: Section) -> Spec:
    """The share of rounds in which the strategy of a row beats that of a column, the best strategies first."""
    matrix = section.penalties
    strategies = list(matrix.strategies)
    cells = [
        {"row": row, "column": column, "wins": None if math.isnan(matrix.wins[i, j]) else float(matrix.wins[i, j])}
        for i, row in enumerate(strategies)
        for j, column in enumerate(strategies)
        if i != j
    ]
    columns = {"labelAngle": -90, "orient": "top", "labelLimit": 180}
    legend = {"title": "share of rounds", "format": ".1f"}
    encoding = {
        "x": names("column", title="loses", sort=strategies, axis=columns),
        "y": names("row", title="wins", sort=strategies, axis={"labelLimit": 180}),
        "tooltip": [names("row"), names("column"), quantity("wins", title="share of rounds", format=".2f")],
        "color": quantity("wins", legend=legend, scale={"domain": [0, 1], "scheme": "viridis"}),
    }
    side = CELL_PIXELS * len(strategies)
    return {"layer": [layer({"data": {"values": cells}}, "rect", encoding)], "width": side, "height": side}
