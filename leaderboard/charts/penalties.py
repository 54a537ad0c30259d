"""The penalty matrix as a heat map."""

from __future__ import annotations

import math

import altair as alt

from leaderboard.scoring.sections import Section

CELL_PIXELS = 26


def penalty_chart(section: Section) -> alt.LayerChart:
    """The share of rounds in which the strategy of a row beats that of a column, the best strategies first."""
    matrix = section.penalties
    names = list(matrix.strategies)
    cells = [
        {"row": row, "column": column, "wins": None if math.isnan(matrix.wins[i, j]) else float(matrix.wins[i, j])}
        for i, row in enumerate(names)
        for j, column in enumerate(names)
        if i != j
    ]
    base = alt.Chart(alt.Data(values=cells)).encode(
        x=alt.X("column:N", title="loses", sort=names, axis=alt.Axis(labelAngle=-90, orient="top", labelLimit=180)),
        y=alt.Y("row:N", title="wins", sort=names, axis=alt.Axis(labelLimit=180)),
        tooltip=["row:N", "column:N", alt.Tooltip("wins:Q", title="share of rounds", format=".2f")],
    )
    color = alt.Color("wins:Q", legend=alt.Legend(title="share of rounds", format=".1f")).scale(
        domain=[0, 1], scheme="viridis"
    )
    layers = [base.mark_rect().encode(color=color)]
    side = CELL_PIXELS * len(names)
    return alt.LayerChart(layer=layers).properties(width=side, height=side)
