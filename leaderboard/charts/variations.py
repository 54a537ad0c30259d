"""What strategies gain over random on a protocol and on its variations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from leaderboard.charts.marks import bounds, interval_tooltip, look, shown, zero_rule
from leaderboard.charts.styles import Style
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.variations import Variation, varied_strategies


def stress_chart(found: Sequence[Variation], drawn: Mapping[str, Style], *, legend_columns: int = 0) -> alt.LayerChart:
    """What each strategy gains over random, by variation: points for means, bars for 95 % intervals."""
    names, strategies = [each.name for each in found], varied_strategies(found)
    rows = [
        {"variation": each.name, "strategy": strategy} | bounds(gain._asdict())
        for each in found
        for strategy, gain in each.gains.items()
        if strategy in strategies
    ]
    looks = look({name: drawn[name] for name in strategies}, legend_columns)
    base = shown(rows).encode(
        x=alt.X("variation:N", sort=names, title=None, axis=alt.Axis(labelAngle=0, grid=False)),
        xOffset=alt.XOffset("strategy:N", sort=strategies),
        color=looks["color"],
    )
    gain = alt.Y("mean:Q", title=f"area minus {BASELINE}")
    digits = f"+.{found[0].section.decimals}f"
    tooltip = ["strategy:N", "variation:N", *interval_tooltip(f"area minus {BASELINE}", digits)]
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y=gain, shape=looks["shape"], tooltip=tooltip)
    bars = base.mark_rule(opacity=0.5).encode(y="lower:Q", y2="upper:Q")
    return alt.LayerChart(layer=[zero_rule(), bars, points]).add_params(alt.param(name="hidden", value=[]))
