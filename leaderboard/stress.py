"""How what strategies gain over random changes when a protocol is varied: wrong labels, rare groups, other budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import altair as alt

from leaderboard.charts import bounds, look
from leaderboard.entries import BASELINE
from leaderboard.sections import Section
from leaderboard.statistics import NOTHING, BySeed, Interval, interval, paired
from leaderboard.styles import GREY, Style

UNVARIED = "clean"


@dataclass(frozen=True)
class Variation:
    """A section beside the one whose protocol it varies, or that one beside itself."""

    section: Section
    base: Section

    @property
    def name(self) -> str:
        """What its protocol's name adds to that of the base."""
        own = self.section.key.task.removeprefix(self.base.key.task).strip("-")
        return own or UNVARIED

    @cached_property
    def gains(self) -> Mapping[str, Interval]:
        """Area minus random's, by strategy: over the seeds that both have."""
        return {name: interval([*each.values()]) for name, each in self._by_seed(self.section).items()}

    @cached_property
    def changes(self) -> Mapping[str, Interval]:
        """The gain minus that on the base, by strategy: over the seeds that all four runs have.

        Nothing where the budget is another too: areas over different label counts do not compare.
        """
        before = self._by_seed(self.base) if self.section.labels == self.base.labels else {}
        return {
            name: interval(paired(gains, before[name])) if name in before else NOTHING
            for name, gains in self._by_seed(self.section).items()
        }

    @staticmethod
    def _by_seed(section: Section) -> dict[str, BySeed]:
        random = section.areas(BASELINE)
        ranked = [each.strategy for each in section.standings if each.rank and each.strategy != BASELINE]
        areas = {name: section.areas(name) for name in ranked}
        return {
            name: {seed: own[seed] - random[seed] for seed in own.keys() & random.keys()} for name, own in areas.items()
        }


def variations(sections: Sequence[Section], base: Section) -> list[Variation]:
    """The base first, then what varies it on its track; nothing where no section does."""
    same = (base.key.protocol, base.key.track)  # a variation has the protocol number of its base
    varied = [each for each in sections if each.base == base.key.task and (each.key.protocol, each.key.track) == same]
    return [Variation(each, base) for each in (base, *varied)] if varied else []


def varied_strategies(found: Sequence[Variation]) -> list[str]:
    """Those that were run on more than the base, in its order."""
    varied = {name for each in found[1:] for name in each.gains}
    return [name for name in dict.fromkeys(name for each in found for name in each.gains) if name in varied]


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
    base = alt.Chart(alt.Data(values=rows)).transform_filter("indexof(hidden, datum.strategy) < 0")
    base = base.encode(
        x=alt.X("variation:N", sort=names, title=None, axis=alt.Axis(labelAngle=0, grid=False)),
        xOffset=alt.XOffset("strategy:N", sort=strategies),
        color=looks["color"],
    )
    gain = alt.Y("mean:Q", title=f"area minus {BASELINE}")
    digits = f"+.{found[0].section.decimals}f"
    tooltip = [
        "strategy:N",
        "variation:N",
        alt.Tooltip("mean:Q", title=f"area minus {BASELINE}", format=digits),
        alt.Tooltip("lower:Q", title="95 % from", format=digits),
        alt.Tooltip("upper:Q", title="95 % to", format=digits),
    ]
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color=GREY).encode(y="zero:Q")
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y=gain, shape=looks["shape"], tooltip=tooltip)
    bars = base.mark_rule(opacity=0.5).encode(y="lower:Q", y2="upper:Q")
    return alt.LayerChart(layer=[zero, bars, points]).add_params(alt.param(name="hidden", value=[]))
