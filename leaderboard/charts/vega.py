"""Charts as Vega-Lite specifications for the site. `leaderboard.charts.pictures` writes them as files."""

from __future__ import annotations

from typing import Any

import vl_convert

from leaderboard.charts.marks import Spec

VERSION = "6.4.1"
"""The version of Vega-Lite that the charts are written for: the one that Altair has."""
SCHEMA = f"https://vega.github.io/schema/vega-lite/v{VERSION}.json"


def page_spec(chart: Spec, description: str, **size: Any) -> Spec:
    """The complete Vega-Lite specification of a chart.

    Args:
        chart: the chart.
        description: the alternative text.
        size: width and height; the width "container" is that of the surrounding HTML element.

    It is not checked against Vega-Lite's schema, which takes longer than all else on the page; a test checks every kind of chart.
    """
    return {"$schema": SCHEMA, "description": description, **chart, **size}


def script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one classic script."""
    version = ".".join(VERSION.split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
