"""The board: all data that the site shows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.schema.badges import Badge
from leaderboard.schema.events import Event
from leaderboard.schema.published import Published
from leaderboard.schema.records import Record
from leaderboard.scoring.contrasts import Contrast, Plan, contrasts
from leaderboard.scoring.entries import BASELINE, Key
from leaderboard.scoring.overall.groups import REGIMES, SPANS, Group, groups
from leaderboard.scoring.overall.ranks import Ranking, ranking
from leaderboard.scoring.picks import overlap_matrix
from leaderboard.scoring.sections import Section, incomplete, sections


class About(NamedTuple):
    """The description of a strategy."""

    paper: str
    kind: str
    needs: str
    """The inputs that it uses."""
    cost: str
    """The complexity of selection."""
    summary: str
    """One sentence."""
    details: str = ""
    """The rest of its description."""
    source: str = ""
    """The text of the file that implements it."""
    place: str = ""
    """The path of that file in the repository."""
    defaults: tuple[tuple[str, str, str], ...] = ()
    """Name, default and meaning of its hyper-parameters."""

    @property
    def year(self) -> int | None:
        """The year of the paper; None if the description names none."""
        years = re.findall(r"\b(?:19[5-9]|20[0-9])\d\b", self.paper)
        return int(years[-1]) if years else None


UNKNOWN = About("not given", "not given", "not given", "not given", "")


class Sheet(NamedTuple):
    """A contact sheet: a picture of several images with their labels."""

    image: bytes
    """A JPEG file."""
    alt: str
    """The alternative text."""


class Lead(NamedTuple):
    """A strategy whose mean area was the best of a section when its paper appeared."""

    year: int
    """The year of the paper."""
    strategy: str
    area: float
    """Its `Standing.level`."""


@dataclass(frozen=True)
class Board:
    """Records, with the descriptions, plans, published curves and badges that belong to them."""

    records: Sequence[Record]
    strategies: Mapping[str, About] = field(default_factory=dict)
    """The descriptions of strategies by name."""
    plans: Sequence[Plan] = ()
    published: Sequence[Published] = ()
    badges: Mapping[str, Badge] = field(default_factory=dict)
    """The badges of submissions, by the name of the strategy."""
    damages: Sequence[str] = ()
    """A line per file that could not be used: its path and the reason."""
    sheet: Callable[[Record], Sheet | None] = lambda _: None
    """Draws the first and last picks of a run; None if its images may not be shown."""
    examples: Callable[[Record], Sheet | None] = lambda _: None
    """Draws the first images of the pool of a run; None if they may not be shown."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """A sentence on each protocol, by name."""
    events: Sequence[Event] = ()
    """Dated entries of the changelog."""
    code: str = ""
    """A digest of the code that draws sheets and examples."""

    def badge(self, section: Section, strategy: str) -> Badge | None:
        """The badge of a submission in one section; None if the strategy is not a submission.

        A successful verification counts in the sections that it repeated; in the others the badge is `self-reported`.
        """
        badge = self.badges.get(strategy)
        if badge is None or badge.state == "failed":
            return badge
        replayed = {(protocol, track) for protocol, track, _ in badge.replayed}
        return badge if (section.key.protocol, section.key.track) in replayed else Badge()

    @cached_property
    def sections(self) -> list[Section]:
        """The sections of all records of the test split, those with planned comparisons first.

        The strategy of a submission that failed its verification is shown as a reference and therefore not ranked.
        """
        planned = {protocol for plan in self.plans for protocol, _ in plan.protocols}
        failed = {name for name, badge in self.badges.items() if badge.state == "failed"}
        test_sections = sections((record for record in self.records if record.split == "test"), unranked=failed)
        return sorted(test_sections, key=lambda section: section.key.protocol not in planned)

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of sections that answers and ranks are computed from."""
        return groups(self.sections)

    @cached_property
    def rankings(self) -> Mapping[tuple[str, str], list[Ranking]]:
        """The overall ranks by kind of task and regime, where "" stands for all: of the whole budget, then of its thirds."""
        kinds = ("", *sorted({group.kind for group in self.groups}))
        found = {}
        for kind, regime in product(kinds, ("", *REGIMES)):
            own = [group for group in self.groups if kind in {"", group.kind} and regime in {"", group.regime}]
            if sections := [section for group in own for section in group.sections]:
                found[kind, regime] = [ranking(sections, span) for span in (None, *range(len(SPANS)))]
        return found

    @cached_property
    def overlaps(self) -> Mapping[Key, NDArray[np.float64]]:
        """The matrix of overlaps of every section; see `leaderboard.scoring.picks.overlap_matrix`."""
        return {section.key: overlap_matrix(section) for section in self.sections}

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The planned comparisons of all plans."""
        return [contrast for plan in self.plans for contrast in contrasts(self.sections, plan)]

    @cached_property
    def incomplete(self) -> list[Record]:
        """The runs of the test split that lack a planned round."""
        return incomplete(record for record in self.records if record.split == "test")

    @property
    def validation_runs(self) -> int:
        """The number of runs on the validation split, which are not shown."""
        return sum(record.split != "test" for record in self.records)

    @cached_property
    def names(self) -> list[str]:
        """All strategies with a complete run on the test split."""
        return sorted({entry.strategy for section in self.sections for entry in section.entries})

    def about(self, strategy: str) -> About:
        """The description of a strategy; `UNKNOWN` if there is none."""
        return self.strategies.get(strategy, UNKNOWN)

    def contrasts_of(self, key: Key) -> list[Contrast]:
        """The planned comparisons of one section."""
        return [contrast for contrast in self.contrasts if contrast.key == key]

    def published_for(self, section: Section, *, same_protocol: bool) -> list[Published]:
        """The published curves that a section's page shows.

        Args:
            section: the section.
            same_protocol: True for curves of the section's own protocol, False for those of other experiments.
        """
        name = section.key.protocol
        return [
            source for source in self.published if name in source.tasks and (source.protocol == name) == same_protocol
        ]

    def history(self, section: Section) -> list[Lead]:
        """The strategies that had the best area of a section when their papers appeared, by year; all better than random.

        Strategies without a year and submissions without a rerun are left out.
        """
        dated = [
            (year, standing)
            for standing in section.standings
            if standing.rank and not self._self_reported(section, standing.strategy)
            if (year := self.about(standing.strategy).year)
        ]
        random = section.standing(BASELINE)
        best = random.level if random else -section.sign * math.inf
        leads: list[Lead] = []
        for year, standing in sorted(dated, key=lambda pair: (pair[0], pair[1].rank or 0)):
            if section.sign * (standing.level - best) > 0:
                best = standing.level
                leads.append(Lead(year, standing.strategy, standing.level))
        return leads

    def _self_reported(self, section: Section, strategy: str) -> bool:
        """Whether the strategy is a submission without a rerun in this section."""
        badge = self.badge(section, strategy)
        return badge is not None and badge.state == "self-reported"
