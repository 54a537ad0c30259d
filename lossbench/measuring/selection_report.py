"""Tables, a chart and a JSON file of measured selection costs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import altair as alt
from rich.table import Column, Table

from leaderboard.charts.styles import styles
from lossbench.measuring.selection import CostGrowth, SelectionCost, fit_growth

SHORTEST_SECONDS = 0.001
"""Shorter times are noise and are shown as less than this."""


def cost_tables(costs: Sequence[SelectionCost]) -> Iterator[Table]:
    """A table of the costs and, if several sizes were measured, one of their growth."""
    names = ("pool", "picks", "forward s", "score s", "pick s", "memory MiB", "repeats")
    table = Table(Column("strategy", no_wrap=True), *(Column(name, justify="right") for name in names))
    for cost in costs:
        memory = "" if cost.memory_mebibytes is None else f"{cost.memory_mebibytes:.0f}"
        seconds = (_format_seconds(number) for number in (cost.forward, cost.score, cost.pick))
        table.add_row(cost.strategy, f"{cost.pool:,}", f"{cost.budget:,}", *seconds, memory, str(cost.repeats))
    yield table
    growths = fit_growth(costs)
    if any(growth.pool_exponent is not None or growth.budget_exponent is not None for growth in growths):
        yield _growth_table(growths)


def _growth_table(growths: Sequence[CostGrowth]) -> Table:
    table = Table(
        "strategy", "exponent of pool", "exponent of picks", title="Growth of the seconds without forward passes"
    )
    for growth in growths:
        exponents = (growth.pool_exponent, growth.budget_exponent)
        table.add_row(growth.strategy, *("" if exponent is None else f"{exponent:.2f}" for exponent in exponents))
    return table


def _format_seconds(seconds: float) -> str:
    return f"< {SHORTEST_SECONDS}" if seconds < SHORTEST_SECONDS else f"{seconds:.3g}"


def write_costs(costs: Sequence[SelectionCost], conditions: dict[str, object], out: Path) -> list[Path]:
    """Write the costs as a JSON file and as a chart (PNG and interactive page).

    Args:
        costs: what was measured.
        conditions: protocol, machine and code, for the JSON file.
        out: path of the files without their suffixes.

    Returns:
        The paths of the three files.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    table = {
        "about": conditions,
        "costs": [asdict(cost) for cost in costs],
        "growth": [asdict(growth) for growth in fit_growth(costs)],
    }
    paths = [out.with_suffix(suffix) for suffix in (".json", ".png", ".html")]
    paths[0].write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    chart = cost_chart(costs)
    chart.save(paths[1], scale_factor=2)
    chart.save(paths[2], inline=True)
    return paths


def cost_chart(costs: Sequence[SelectionCost]) -> alt.FacetChart:
    """Seconds without forward passes by pool on logarithmic axes: one line per strategy, one panel per budget."""
    names = list(dict.fromkeys(cost.strategy for cost in costs))
    style_of = styles(names)
    rows = [
        {"strategy": cost.strategy, "pool": cost.pool, "budget": cost.budget, "seconds": cost.select} for cost in costs
    ]
    colors = alt.Scale(domain=names, range=[style_of[name].color for name in names])
    dashes = alt.Scale(domain=names, range=[list(style_of[name].dash) for name in names])
    pools = alt.Axis(values=sorted({cost.pool for cost in costs}), format=",")
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("pool:Q", scale=alt.Scale(type="log", nice=False), axis=pools, title="candidates"),
        y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds without forward passes"),
        color=alt.Color("strategy:N", sort=names, scale=colors),
    )
    lines = base.mark_line().encode(strokeDash=alt.StrokeDash("strategy:N", sort=names, scale=dashes))
    points = base.mark_point(filled=True, size=40)
    return (
        alt.layer(lines, points).properties(width=380, height=380).facet(column=alt.Column("budget:O", title="picks"))
    )
