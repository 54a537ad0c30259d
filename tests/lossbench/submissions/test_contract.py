"""The contract: every strategy on every kind of task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_tasks import KINDS

from lossbench.config_files import read_protocol
from lossbench.submissions.conformance import CHECKS, Check, Trial
from strategies import STRATEGIES, Strategy, load_strategy


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)


QUICK = ("random", "entropy", "core-set", "badge", "learning-loss")
"""Checked on every kind in the fast tests: one that reads nothing, posteriors, embeddings, gradients, predicted losses."""
CELLS = [
    pytest.param(
        kind,
        strategy,
        id=f"{kind}-{strategy.__name__}",
        marks=(pytest.mark.slow, pytest.mark.exhaustive) if kind != KINDS[0] and strategy.name not in QUICK else (),
    )
    for kind in KINDS
    for strategy in STRATEGIES
]


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize(("kind", "strategy"), CELLS, indirect=["kind"])
def test_every_strategy_keeps_the_contract(
    strategy: type[Strategy], check: Check, kind: str, trials: Callable[[str, Strategy], Trial]
) -> None:
    check(trials(kind, strategy.smoke()))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=name_of)
def test_every_strategy_says_what_it_is(strategy: type[Strategy]) -> None:
    assert strategy.name == strategy.name.lower().replace(" ", "-").replace("_", "-")
    assert strategy.paper
    assert strategy.__doc__.splitlines()[0].endswith((".", ":", ")"))
    assert type(load_strategy(strategy.name)) is strategy
    assert strategy.reads
    assert strategy.cost
    assert strategy.cheats == (strategy.kind == "reference"), "a strategy that cheats is a reference, no entry"


def test_the_kinds_of_task_are_those_that_the_contract_is_checked_on() -> None:
    configured = {read_protocol(path).task.kind for path in CONFIGS}
    assert configured == set(KINDS)


CONFIGS = sorted((Path(__file__).parents[3] / "configs/tasks").rglob("*.toml"))
