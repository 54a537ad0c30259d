"""Which strategies are worth their cost, from the records."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.scoring.board import Board
from leaderboard.scoring.entries import BASELINE
from leaderboard.scoring.overall.answers import Answer, Choice, answers
from leaderboard.scoring.overall.groups import SPANS
from leaderboard.site.tables import number, rough_seconds
from lossbench.words import plural

MOST_CHOICES = 3
"""Strategies in a cell."""


def worth(board: Board, *protocols: str) -> list[Sequence[object]]:
    """What nothing beats for few, some and many labels of each protocol, with its gain and the seconds of a selection.

    The three of the largest gain are named, and the others counted.

    A cell says `random` where no strategy with five runs or more is clearly better than random, and then which are ahead in how many runs.

    Args:
        board: the records.
        protocols: names of protocols; all without any.
    """
    every = [section for group in board.groups for section in group.sections]
    wanted = [section for section in every if not protocols or section.key.protocol in protocols]
    return [
        ("protocol", *(f"{span} labels" for span in SPANS)),
        *((section.key.protocol, *map(_cell, found)) for section in wanted if (found := answers(section))),
    ]


def _cell(answer: Answer) -> str:
    choices = [
        f"{choice.strategy}{_twins(choice)} {number(choice.gain.mean, 3, sign=True)}"
        + (f" ({rough_seconds(choice.costs.select)} s)" if choice.costs else "")
        for choice in answer.best[:MOST_CHOICES]
    ]
    if len(answer.best) > MOST_CHOICES:
        choices.append(f"and {len(answer.best) - MOST_CHOICES} more")
    told = ", ".join(choices) or (BASELINE if answer.shown else "too few runs")
    return f"{answer.labels[0]:,} to {answer.labels[1]:,}: {told}{'' if choices else _early(answer)}"


def _twins(choice: Choice) -> str:
    return f" (and {', '.join(choice.twins)}, which picks the same)" if choice.twins else ""


def _early(answer: Answer) -> str:
    """The strategies that are ahead in too few runs for an answer."""
    ahead = [
        f"{choice.strategy} {number(choice.gain.mean, 3, sign=True)} in {plural(choice.seeds, 'run')}"
        for choice in answer.early[:MOST_CHOICES]
    ]
    return f"; ahead so far: {', '.join(ahead)}" if ahead else ""
