"""Variations of a protocol (label noise, rare groups, other budgets) and their effect on the gains over random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import NO_INTERVAL, BySeed, Interval, interval, paired

UNVARIED = "clean"
"""The name of the base among its variations."""


@dataclass(frozen=True)
class Variation:
    """The section of a variation and that of its base; the base counts as a variation of itself."""

    section: Section
    base: Section

    @property
    def name(self) -> str:
        """The protocol's name without that of the base, for instance `noise`."""
        suffix = self.section.key.protocol.removeprefix(self.base.key.protocol).strip("-")
        return suffix or UNVARIED

    @cached_property
    def gains(self) -> Mapping[str, Interval]:
        """Area minus random's for every strategy, over the seeds that both have."""
        return {name: interval([*gains.values()]) for name, gains in self._gains_by_seed(self.section).items()}

    @cached_property
    def changes(self) -> Mapping[str, Interval]:
        """The gain minus that on the base for every strategy, over the seeds that both have in both sections.

        NaN if the label counts differ from those of the base: the areas are then not comparable.
        """
        base = self._gains_by_seed(self.base) if self.section.labels == self.base.labels else {}
        return {
            name: interval(paired(gains, base[name])) if name in base else NO_INTERVAL
            for name, gains in self._gains_by_seed(self.section).items()
        }

    @staticmethod
    def _gains_by_seed(section: Section) -> dict[str, BySeed]:
        """The gains over random of the ranked strategies, seed by seed."""
        random = section.areas(BASELINE)
        ranked = [
            standing.strategy for standing in section.standings if standing.rank and standing.strategy != BASELINE
        ]
        areas = {name: section.areas(name) for name in ranked}
        return {
            name: {seed: own[seed] - random[seed] for seed in own.keys() & random.keys()} for name, own in areas.items()
        }


def variations(sections: Sequence[Section], base: Section) -> list[Variation]:
    """The base and its variations on the same track, the base first; empty if it has no variation."""
    same = (base.key.version, base.key.track)  # a variation has the version of its base
    varied = [
        section
        for section in sections
        if section.base == base.key.protocol and (section.key.version, section.key.track) == same
    ]
    return [Variation(section, base) for section in (base, *varied)] if varied else []


def varied_strategies(columns: Sequence[Variation]) -> list[str]:
    """The strategies with runs on a variation other than the base, in the order of the base."""
    varied = {name for variation in columns[1:] for name in variation.gains}
    return [name for name in dict.fromkeys(name for column in columns for name in column.gains) if name in varied]
