"""BoSS: the best of the batches that are tried wins, its members propose and see no labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_contexts import MakeContext

from strategies import SelectionError, Strategy, load_strategy
from strategies.base import Context, Oracle, Selection
from strategies.boss import MEMBERS, BoSS
from strategies.random import Random
from tasks.base import Ids


class Judge:
    """An oracle that likes images whose ids have many odd digits, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Ids] = []

    def score(self, ids: Ids) -> float:
        self.asked.append(ids)
        return float((ids % 4 == 3).sum())

    @property
    def oracle(self) -> Oracle:
        return Oracle(lambda ids: torch.zeros(len(ids)), self.score)


@pytest.fixture
def judged(context: MakeContext) -> Callable[[], tuple[Context, Judge]]:
    def made() -> tuple[Context, Judge]:
        judge = Judge()
        return replace(context(), oracle=judge.oracle), judge

    return made


def test_the_best_of_the_tried_batches_is_picked(judged: Callable[[], tuple[Context, Judge]]) -> None:
    ctx, judge = judged()
    picked = BoSS(batches=12, members=("random",)).select(ctx).ids
    scores = [float((ids % 4 == 3).sum()) for ids in judge.asked]
    assert len(scores) == 12
    assert len(set(scores)) > 1
    np.testing.assert_array_equal(picked, judge.asked[int(np.argmax(scores))])


def test_a_batch_that_is_proposed_again_is_not_trained_again(judged: Callable[[], tuple[Context, Judge]]) -> None:
    """All candidates are seen each time, so that margin proposes the same."""
    ctx, judge = judged()
    picked = BoSS(batches=12, members=("margin",)).select(ctx).ids
    assert len(judge.asked) == 1
    np.testing.assert_array_equal(picked, judge.asked[0])


def test_members_are_drawn_alike_and_get_other_candidates_each_time_and_no_oracle(
    judged: Callable[[], tuple[Context, Judge]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def spy(name: str) -> type[Strategy]:
        class Spy(Random):
            def select(self, ctx: Context) -> Selection:
                assert ctx.oracle is None
                seen.append((name, tuple(ctx.candidates.tolist())))
                return super().select(ctx)

        return Spy

    for name in MEMBERS:
        monkeypatch.setitem(MEMBERS, name, spy(name))
    ctx, _ = judged()
    BoSS(batches=400, subset=10).select(ctx)
    counts = Counter(name for name, _ in seen)
    assert set(counts) == set(MEMBERS)
    assert max(counts.values()) < 2 * min(counts.values())
    assert {len(candidates) for _, candidates in seen} == {10}
    assert len({candidates for _, candidates in seen}) > 300


def test_it_needs_an_oracle_and_known_members(context: MakeContext) -> None:
    assert BoSS.cheats
    with pytest.raises(SelectionError, match="no oracle"):
        BoSS(batches=1).select(context())
    with pytest.raises(Exception, match="'vaal' proposes no batches; random, margin"):
        load_strategy("boss", {"members": ["vaal"]})
