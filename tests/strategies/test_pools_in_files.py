"""Every strategy picks the same where what it reads of the pool lies in files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lossbench.submissions.conformance import Trial
from strategies import STRATEGIES, Strategy
from strategies.badge import Badge
from strategies.clue import Clue
from strategies.core_set import CoreSet
from strategies.dropquery import DropQuery
from strategies.learning_loss_clusters import LearningLossClusters
from strategies.margin import Margin
from strategies.typiclust import TypiClust
from strategies.uherding import UHerding
from tasks import memory
from tasks.memory import in_file

FAST = (Margin, CoreSet, Badge, Clue, TypiClust, UHerding, DropQuery, LearningLossClusters)
MakeTrial = Callable[[str, Strategy], Trial]


def same_picks(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a strategy picks the same with files and without."""
    held = trial.select()
    monkeypatch.setenv(memory.MEMORY, "0")
    assert in_file(trial.committee[0].embeddings(trial.candidates))
    filed = trial.select()
    assert filed.ids.tolist() == held.ids.tolist()
    assert (filed.scores is None) == (held.scores is None)
    assert held.scores is None or filed.scores.tolist() == held.scores.tolist()


@pytest.mark.parametrize("strategy", FAST, ids=lambda strategy: strategy.name)
def test_a_strategy_picks_the_same_from_files(
    strategy: type[Strategy], trials: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_picks(trials("classification", strategy.smoke()), monkeypatch)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_every_strategy_picks_the_same_from_files(
    kind: str, strategy: type[Strategy], trials: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_picks(trials(kind, strategy.smoke()), monkeypatch)
