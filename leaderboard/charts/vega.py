"""Charts as Vega-Lite specifications for the site. `leaderboard.charts.pictures` writes them as files."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert


def page_spec(chart: alt.LayerChart | alt.Chart, description: str, **size: Any) -> dict[str, Any]:
    """The Vega-Lite specification of a chart.

    Args:
        chart: the chart.
        description: the alternative text.
        size: width and height; the width "container" is that of the surrounding HTML element.

    It is not checked against Vega-Lite's schema, which takes longer than all else on the page; a test checks every kind of chart.
    """
    return chart.properties(description=description, **size).to_dict(validate=False)


def script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one classic script, in the version that Altair writes specifications for."""
    version = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
