"""Which groups of images were picked."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from leaderboard.charts.styles import Style
from leaderboard.scoring.picks import GroupShare

BAR_PIXELS = 9


def group_chart(shares: Sequence[GroupShare], drawn: dict[str, Style]) -> alt.Chart:
    """What share of the picked images shows each group, beside random's."""
    rows = [each._asdict() for each in shares]
    order, names = (
        list(dict.fromkeys(each)) for each in zip(*((one.group, one.strategy) for one in shares), strict=True)
    )
    height = 2 * BAR_PIXELS * len(order)
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of picks", axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("group:N", sort=order, title=None, axis=alt.Axis(labelLimit=140)),
            yOffset=alt.YOffset("strategy:N"),
            color=alt.Color("strategy:N", legend=None).scale(domain=names, range=[drawn[name].color for name in names]),
            tooltip=["group:N", "strategy:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=height)
    )
