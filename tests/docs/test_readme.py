"""The README is short, what it links to is there, and the strategy of the guide is what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from leaderboard.scoring.survey import survey
from lossbench.running.streams import stream
from strategies import Context, load_strategy
from tasks.base import Task
from tasks.training.learner import Learner

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_strategy_in_one_file_runs_on_every_task(
    kind: str, task: Task, trained: Callable[..., Learner], tmp_path: Path
) -> None:
    guide = (ROOT / "docs/guides/strategy.md").read_text(encoding="utf-8")
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "class TopTwoRatio" in each)
    (tmp_path / "top_two_ratio.py").write_text(block, encoding="utf-8")
    learner, candidates = trained(kind), np.arange(20, 40)
    ctx = Context(5, np.arange(12), candidates, (learner,), stream(0), lambda: None)
    selection = load_strategy(str(tmp_path / "top_two_ratio.py")).select(ctx)
    posteriors = next(learner.posteriors(candidates))
    top = posteriors.log_probs.exp().topk(2, 2).values
    ratios = (posteriors.weight * (top[..., 1] / top[..., 0])).sum(1)
    assert set(selection.ids) == set(candidates[ratios.argsort(descending=True)[:5].numpy()])


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 110
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in block.splitlines() if line]) <= 10


def test_every_path_that_the_readme_names_exists() -> None:
    rooms = "tasks|lossnet|strategies|lossbench|leaderboard|configs|tests|docs|examples"
    named = re.findall(rf"`((?:{rooms})/[^`*{{}}]+)`", README)
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(linked) > 5
    for path in (*named, *linked):
        assert (ROOT / path).exists(), path


def test_the_committed_records_read_and_are_whole() -> None:
    records, damages = survey(ROOT / "leaderboard/records")
    assert damages == []
    assert all(record.complete for record in records)
    assert {record.protocol for record in records} >= {"cifar10-mini", "voc2007-mini", "lspet-mini"}
    assert all(not record.commit.endswith("+changes") for record in records)
