"""How what strategies gain over random changes when a protocol is varied: wrong labels, rare groups, other budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import NOTHING, BySeed, Interval, interval, paired

UNVARIED = "clean"


@dataclass(frozen=True)
class Variation:
    """A section beside the one whose protocol it varies, or that one beside itself."""

    section: Section
    base: Section

    @property
    def name(self) -> str:
        """What its protocol's name adds to that of the base."""
        own = self.section.key.protocol.removeprefix(self.base.key.protocol).strip("-")
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
    same = (base.key.version, base.key.track)  # a variation has the version of its base
    varied = [
        each for each in sections if each.base == base.key.protocol and (each.key.version, each.key.track) == same
    ]
    return [Variation(each, base) for each in (base, *varied)] if varied else []


def varied_strategies(found: Sequence[Variation]) -> list[str]:
    """Those that were run on more than the base, in its order."""
    varied = {name for each in found[1:] for name in each.gains}
    return [name for name in dict.fromkeys(name for each in found for name in each.gains) if name in varied]
