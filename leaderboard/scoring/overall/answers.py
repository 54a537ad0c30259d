"""Answers: which strategies nothing beats, for a protocol and a third of its budget."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.scoring.entries import BASELINE, FEWEST_SEEDS, Costs, Hardware
from leaderboard.scoring.overall.groups import SPANS
from leaderboard.scoring.overall.ranks import areas_of
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import Interval, interval, paired


class Choice(NamedTuple):
    """A strategy, compared with random."""

    strategy: str
    gain: Interval
    """The area minus random's under the same seeds, in the unit of the metric."""
    seeds: int
    """The number of paired runs."""
    costs: Costs | None
    """None if no runs are on the machines whose seconds are compared."""
    twins: tuple[str, ...] = ()
    """Other strategies that picked the same images in this section; they are no choices of their own."""


class Answer(NamedTuple):
    """The strategies to choose from in a third of the budget."""

    span: str
    """`few`, `some` or `many` labels."""
    labels: tuple[int, int]
    """The numbers of labels at which the third starts and ends."""
    best: tuple[Choice, ...]
    """Strategies that are clearly better than random and that no strategy beats, the largest gain first."""
    undecided: tuple[Choice, ...]
    """Strategies that nothing beats and that are not clearly better than random."""
    beaten: tuple[tuple[Choice, str], ...]
    """The other strategies, each with the one that beats it by the most."""
    early: tuple[Choice, ...]
    """Strategies that are ahead of random in fewer than five paired runs, which are too few for an answer, the largest gain first."""

    @property
    def shown(self) -> list[Choice]:
        """All strategies with enough runs."""
        return [*self.best, *self.undecided, *(choice for choice, _ in self.beaten)]


def answers(section: Section) -> list[Answer]:
    """The answers of a section for few, some and many labels; empty if it has a single label count."""
    return [_answer(section, number, span) for number, span in enumerate(SPANS)] if len(section.labels) > 1 else []


def _answer(section: Section, number: int, span: str) -> Answer:
    sign = section.sign
    ranked = [entry.strategy for entry in section.entries if not entry.reference and entry.strategy != BASELINE]
    names = [name for name in ranked if name not in section.twins]
    rivals = {name: _choice(section, name, number) for name in names}
    known = {
        name: choice
        for name, choice in rivals.items()
        if choice.seeds >= FEWEST_SEEDS and not math.isnan(choice.gain.lower)
    }
    few = (_choice(section, name, number, _same_machines(section, name)) for name in names if name not in known)
    early = [choice for choice in few if sign * choice.gain.mean > 0]
    winners = {name: _best_winner(section, name, number, [*known, BASELINE]) for name in known}
    order = sorted(known.values(), key=lambda choice: -sign * choice.gain.mean)
    unbeaten = [choice for choice in order if not winners[choice.strategy]]
    start, stop = section.thirds[number]
    return Answer(
        span,
        (round(start), round(stop)),
        tuple(choice for choice in unbeaten if is_clear(choice.gain, sign)),
        tuple(choice for choice in unbeaten if not is_clear(choice.gain, sign)),
        tuple((choice, winner) for choice in order if (winner := winners[choice.strategy])),
        tuple(sorted(early, key=lambda choice: -sign * choice.gain.mean)),
    )


def is_clear(difference: Interval, sign: float = 1.0) -> bool:
    """Whether the whole 95 % interval of a difference is on the better side of zero.

    Args:
        difference: the difference.
        sign: 1 if a larger score is better, else -1.
    """
    return min(sign * difference.lower, sign * difference.upper) > 0


def _choice(section: Section, name: str, number: int, seeds: Container[int] | None = None) -> Choice:
    """A strategy in a third of the budget; by some of its seeds alone, if they are given."""
    differences = _differences(section, name, BASELINE, number, seeds)
    costs = section.by_name[name].costs(section.hardware)
    known = not math.isnan(costs.select) and costs.fit > 0
    twins = tuple(twin for twin, first in section.twins.items() if first == name)
    return Choice(name, interval(differences), len(differences), costs if known else None, twins)


def _same_machines(section: Section, name: str) -> set[int]:
    """The seeds of a strategy whose runs were made on the same class of machines as random's: others start from other scores."""
    if BASELINE not in section.by_name:
        return set()
    own, other = (
        {record.seed: Hardware.of(record.machine) for record in section.by_name[each].records}
        for each in (name, BASELINE)
    )
    return {seed for seed, hardware in own.items() if other.get(seed) == hardware}


def _best_winner(section: Section, name: str, number: int, rivals: Sequence[str]) -> str:
    """The strategy that beats this one by the most, in enough runs of equal seeds; empty if none does."""
    differences = {rival: _differences(section, rival, name, number) for rival in rivals if rival != name}
    gaps = {rival: interval(each) for rival, each in differences.items() if len(each) >= FEWEST_SEEDS}
    clear = {rival: section.sign * gap.mean for rival, gap in gaps.items() if is_clear(gap, section.sign)}
    return max(clear, key=lambda rival: (clear[rival], rival), default="")


def _differences(
    section: Section, first: str, second: str, number: int, seeds: Container[int] | None = None
) -> NDArray[np.float64]:
    """The paired differences of two strategies in a third of the budget; empty if one of them was not run."""
    if first not in section.by_name or second not in section.by_name:
        return np.zeros(0)
    own, other = (areas_of(section.by_name[name], number) for name in (first, second))
    return paired({seed: area for seed, area in own.items() if seeds is None or seed in seeds}, other)
