"""A board: everything that a page shows, gathered before anything is drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from leaderboard.schema.badges import Badge
from leaderboard.schema.published import Published
from leaderboard.schema.records import Record
from leaderboard.scoring.contrasts import Contrast, Plan, contrasts
from leaderboard.scoring.entries import BASELINE, Key
from leaderboard.scoring.sections import Section, incomplete, sections


class About(NamedTuple):
    """What is known of a strategy besides its runs."""

    paper: str
    kind: str
    needs: str
    cost: str
    summary: str
    """One sentence."""

    @property
    def year(self) -> int | None:
        """Of the paper, where it names one."""
        found = re.findall(r"\b(?:19[5-9]|20[0-9])\d\b", self.paper)
        return int(found[-1]) if found else None


UNKNOWN = About("not given", "not given", "not given", "not given", "")


class Sheet(NamedTuple):
    """A picture of what a run picked first and last."""

    image: bytes
    """PNG."""
    alt: str


class Lead(NamedTuple):
    """Since its paper's year, this strategy's mean area has been the best of a section."""

    year: int
    strategy: str
    area: float


@dataclass(frozen=True)
class Board:
    """Records, and what is said beside them."""

    records: Sequence[Record]
    strategies: Mapping[str, About] = field(default_factory=dict)
    plans: Sequence[Plan] = ()
    published: Sequence[Published] = ()
    badges: Mapping[str, Badge] = field(default_factory=dict)
    """Of the strategies that were submitted."""
    damages: Sequence[str] = ()
    """One line for each file that could not be used."""
    sheet: Callable[[Record], Sheet | None] = lambda _: None
    """Draws what a run picked; nothing where its images may not be shown."""

    def badge(self, section: Section, strategy: str) -> Badge | None:
        """What a submission may show beside its runs of a section: it vouches for what was rerun, and for nothing else."""
        badge = self.badges.get(strategy)
        if badge is None or badge.state == "failed":
            return badge
        rerun = {(task, track) for task, track, _ in badge.replayed}
        return badge if (section.key.protocol, section.key.track) in rerun else Badge()

    @cached_property
    def sections(self) -> list[Section]:
        """Of test records; those of the validation split serve choices and are not shown. Tasks of a plan come first.

        A submission that failed its verification is shown like a reference, and not ranked.
        """
        planned = {task for plan in self.plans for task, _ in plan.protocols}
        failed = {name for name, badge in self.badges.items() if badge.state == "failed"}
        found = sections(
            record.model_copy(update={"reference": True}) if record.strategy in failed else record
            for record in self.records
            if record.split == "test"
        )
        return sorted(found, key=lambda section: section.key.protocol not in planned)

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Of all plans."""
        return [each for plan in self.plans for each in contrasts(self.sections, plan)]

    @cached_property
    def incomplete(self) -> list[Record]:
        """Test runs that lack a planned round."""
        return incomplete(record for record in self.records if record.split == "test")

    @property
    def validation_runs(self) -> int:
        """How many are left out because they serve choices."""
        return sum(record.split != "test" for record in self.records)

    @cached_property
    def names(self) -> list[str]:
        """All strategies that have a complete test run."""
        return sorted({entry.strategy for section in self.sections for entry in section.entries})

    def about(self, strategy: str) -> About:
        """What is known of it."""
        return self.strategies.get(strategy, UNKNOWN)

    def contrasts_of(self, key: Key) -> list[Contrast]:
        """The planned comparisons of one section."""
        return [each for each in self.contrasts if each.key == key]

    def published_for(self, section: Section, *, same_protocol: bool) -> list[Published]:
        """Published figures for a section: of the protocol that it runs, or of others that its page shows."""
        name = section.key.protocol
        return [each for each in self.published if name in each.tasks and (each.protocol == name) == same_protocol]

    def history(self, section: Section) -> list[Lead]:
        """Which strategy's area was the best at hand when its paper came out, and better than random's.

        Strategies without a year are left out, and submissions that nobody reran.
        """
        known = [each for each in section.standings if each.rank and not self._only_reported(section, each.strategy)]
        dated = [(self.about(each.strategy).year, each) for each in known]
        random = section.standing(BASELINE)
        best = random.level if random else -section.sign * math.inf
        leads: list[Lead] = []
        for year, each in sorted(
            ((year, each) for year, each in dated if year), key=lambda pair: (pair[0], pair[1].rank or 0)
        ):
            if section.sign * (each.level - best) > 0:
                best = each.level
                leads.append(Lead(year, each.strategy, each.area.mean))
        return leads

    def _only_reported(self, section: Section, strategy: str) -> bool:
        badge = self.badge(section, strategy)
        return badge is not None and badge.state == "self-reported"
