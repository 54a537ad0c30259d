"""Charts as Vega-Lite, for the page; as pictures: `leaderboard.charts.pictures`."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert


def page_spec(chart: alt.LayerChart | alt.Chart, described: str, **size: Any) -> dict[str, Any]:
    """A chart as Vega-Lite, as wide as its box unless it has a width."""
    return chart.properties(description=described, **size).to_dict()


def script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one classic script, in the version that the charts are written in."""
    version = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
