"""Strategies in files of a user's own: one keeps the contract, and a file without exactly one is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench.submissions.conformance import CHECKS, Trial
from strategies import Strategy, StrategyError, load_strategy

MINE = '''
"""Picks what lies nearest to the middle of the candidates."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from strategies import Context, Selection, Strategy
from strategies.base import highest

Share = float


class Middle(Strategy):
    """Picks the images nearest to the mean embedding."""

    name: ClassVar[str] = "middle"
    paper: ClassVar[str] = "this file"
    share: Share = Field(0.5, ge=0)

    def select(self, ctx: Context) -> Selection:
        points = ctx.learner.embeddings(ctx.candidates)
        return highest(ctx, -(points - points.mean(0)).norm(dim=1))
'''


def test_a_strategy_from_a_file_elsewhere_keeps_the_contract(
    tmp_path: Path, kind: str, trials: Callable[[str, Strategy], Trial]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    strategy = load_strategy(str(file))
    assert (strategy.name, strategy.share) == ("middle", 0.5)
    for check in CHECKS:
        check(trials(kind, strategy))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"no strategy file .*mine\.py"),
        ("x = 1\n", r"mine\.py defines 0 strategies; it must define one subclass of strategies.Strategy"),
        (MINE + "class Edge(Middle):\n    pass\n", r"mine\.py defines 2 strategies"),
        (MINE.replace('name: ClassVar[str] = "middle"', ""), r"Middle has no name; add `name: ClassVar\[str\]"),
        (MINE.replace('"middle"', '"random"'), r"Middle is called 'random', which Lossbench already uses"),
        (
            MINE.replace('"middle"', '"../middle"'),
            r"'\.\./middle'; use at most 60 lower-case letters, digits and hyphens",
        ),
        (MINE.replace('"middle"', f'"{"m" * 61}"'), r"mmm'; use at most 60 lower-case letters"),
    ],
    ids=["missing", "none", "two", "nameless", "taken", "path", "long"],
)
def test_a_file_without_one_strategy_is_refused(content: str | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(StrategyError, match=reason) as caught:
        load_strategy(str(file))
    assert "\n" not in str(caught.value)
