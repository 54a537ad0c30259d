"""The groups of the picked images, as a bar chart."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from leaderboard.charts.styles import Style
from leaderboard.scoring.picks import GroupShare

BAR_PIXELS = 9


def group_chart(shares: Sequence[GroupShare], style_of: dict[str, Style]) -> alt.Chart:
    """The share of every group in the picks, with a bar per strategy."""
    rows = [share._asdict() for share in shares]
    groups = list(dict.fromkeys(share.group for share in shares))
    names = list(dict.fromkeys(share.strategy for share in shares))
    height = 2 * BAR_PIXELS * len(groups)
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of picks", axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("group:N", sort=groups, title=None, axis=alt.Axis(labelLimit=140)),
            yOffset=alt.YOffset("strategy:N"),
            color=alt.Color("strategy:N", legend=None).scale(
                domain=names, range=[style_of[name].color for name in names]
            ),
            tooltip=["group:N", "strategy:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=height)
    )
