"""Answers: which strategies nothing beats, for a kind of task, a regime and a third of the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.scoring.entries import BASELINE, FEWEST_SEEDS
from leaderboard.scoring.overall.groups import SPANS, Group
from leaderboard.scoring.overall.ranks import areas_of
from leaderboard.scoring.sections import Section
from leaderboard.scoring.statistics import NO_INTERVAL, Interval, degrees_of_freedom, interval, paired, student


class Cost(NamedTuple):
    """What a selection costs, as the range over the protocols of a group."""

    seconds: tuple[float, float]
    """Seconds a round, the least and the most."""
    training: tuple[float, float]
    """Seconds of a round's training, the least and the most."""


class Choice(NamedTuple):
    """A strategy, compared with random over the protocols of a group."""

    strategy: str
    gain: Interval
    """The area minus random's under the same seeds: the mean over the protocols, in the unit of the metric."""
    protocols: int
    """The number of protocols with two or more seeds that both have, as one seed tells nothing of chance; with one, if there is no other."""
    seeds: int
    """The number of paired runs in these protocols."""
    cost: Cost | None
    """None if no runs of these protocols are on the machines whose seconds are compared."""


class Answer(NamedTuple):
    """The strategies to choose from, for one group and a third of the budget."""

    span: str
    """`few`, `some` or `many` labels."""
    labels: tuple[int, int]
    """The numbers of labels at which the third starts and ends, over all protocols."""
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


def answers(group: Group) -> list[Answer]:
    """The answers of a group for few, some and many labels; empty if no budget of the group has thirds."""
    sections = [section for section in group.sections if len(section.labels) > 1]
    return [_answer(sections, number, span) for number, span in enumerate(SPANS)] if sections else []


def _answer(sections: Sequence[Section], number: int, span: str) -> Answer:
    sign = sections[0].sign
    names = sorted({entry.strategy for section in sections for entry in section.entries if not entry.reference})
    rivals = {name: _choice(sections, name, number) for name in names if name != BASELINE}
    known = {
        name: choice
        for name, choice in rivals.items()
        if choice.seeds >= FEWEST_SEEDS and not math.isnan(choice.gain.lower)
    }
    early = [choice for name, choice in rivals.items() if name not in known and sign * choice.gain.mean > 0]
    winners = {name: _best_winner(sections, name, number, [*known, BASELINE]) for name in known}
    order = sorted(known.values(), key=lambda choice: -sign * choice.gain.mean)
    unbeaten = [choice for choice in order if not winners[choice.strategy]]
    thirds = [section.thirds[number] for section in sections]
    return Answer(
        span,
        (round(min(start for start, _ in thirds)), round(max(stop for _, stop in thirds))),
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


def _choice(sections: Sequence[Section], name: str, number: int) -> Choice:
    pairs = [(section, _differences(section, name, BASELINE, number)) for section in sections]
    repeated = [section for section, own in pairs if len(own) > 1]
    if repeated:
        compared, gain = repeated, difference(repeated, name, BASELINE, number)
    else:
        compared = [section for section, own in pairs if len(own)]
        single = [own.mean() for _, own in pairs if len(own)]
        gain = Interval(float(np.mean(single)) if single else math.nan, math.nan, math.nan)
    seeds = sum(len(own) for section, own in pairs if section in compared)
    return Choice(name, gain, len(compared), seeds, _cost(compared, name))


def _best_winner(sections: Sequence[Section], name: str, number: int, rivals: Sequence[str]) -> str:
    """The strategy that beats this one by the most; empty if none does."""
    sign = sections[0].sign
    gaps = {rival: difference(sections, rival, name, number) for rival in rivals if rival != name}
    clear = {rival: sign * gap.mean for rival, gap in gaps.items() if is_clear(gap, sign)}
    return max(clear, key=lambda rival: (clear[rival], rival), default="")


def difference(sections: Sequence[Section], first: str, second: str, number: int | None) -> Interval:
    """The mean over sections of the paired difference of areas, with its 95 % interval.

    Sections count alike; those in which both strategies have fewer than two seeds in common count for nothing. One section
    has the interval of its seeds; of several, the variances add up (Welch 1947).

    Args:
        sections: sections of one metric.
        first: a strategy.
        second: the strategy whose area is subtracted.
        number: 0, 1 or 2 for a third of the budget; None for all of it.
    """
    samples = [_differences(section, first, second, number) for section in sections]
    samples = [sample for sample in samples if len(sample) > 1]
    if not samples:
        return NO_INTERVAL
    if len(samples) == 1:
        return interval(samples[0])
    mean = float(np.mean([sample.mean() for sample in samples]))
    variances = np.array([sample.var(ddof=1) / len(sample) for sample in samples]) / len(samples) ** 2
    freedom = degrees_of_freedom(variances, np.array([len(sample) - 1 for sample in samples]))
    return student(mean, math.sqrt(variances.sum()), freedom)


def _differences(section: Section, first: str, second: str, number: int | None) -> NDArray[np.float64]:
    """The paired differences of two strategies in a section; empty if one of them was not run."""
    if first not in section.by_name or second not in section.by_name:
        return np.zeros(0)
    own, other = (areas_of(section.by_name[name], number) for name in (first, second))
    return paired(own, other)


def _cost(sections: Sequence[Section], name: str) -> Cost | None:
    costs = [section.by_name[name].costs(section.hardware) for section in sections]
    known = [cost for cost in costs if not math.isnan(cost.select) and cost.fit > 0]
    if not known:
        return None
    seconds, training = [cost.select for cost in known], [cost.fit for cost in known]
    return Cost((min(seconds), max(seconds)), (min(training), max(training)))
