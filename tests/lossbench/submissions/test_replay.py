"""Reruns by a clean process: equal to an ordinary run bit for bit, and without a look at labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacking_strategies import strategy_file
from tiny_tasks import FAST_ON_ONE_KIND

from leaderboard.schema.records import Round, Track
from lossbench.running.kept.models import ModelCache
from lossbench.running.loop import Run
from lossbench.submissions import rerun
from lossbench.submissions.comparison import OWN_METRIC, TIMED
from lossbench.submissions.conformance import tiny_protocol
from lossbench.submissions.exchange import Code, Declaration, Question, read_question, without_labels, write_question
from lossbench.submissions.replay import Replay, can_be_replayed, stand_in
from strategies import Strategy
from tasks.base import Task
from tasks.outside.files import Source

HIGHEST = "from strategies.base import highest\nimport torch"
LOSSNET = "return highest(ctx, ctx.learner.predicted_losses(ctx.learner.lossnet, ctx.candidates))"
OWN = "return highest(ctx, ctx.learner.predicted_losses(ctx.learner.auxiliary, ctx.candidates))"
COMMITTEE = """
rows = [torch.cat([each.log_probs.exp().flatten(1) for each in one.posteriors(ctx.candidates)]) for one in ctx.committee]
passes = next(ctx.learner.dropout_passes(ctx.candidates[:2], 2, self.dropout, ctx.rng))
ctx.rng.random(sum(1 for _ in passes))
return highest(ctx, (rows[0] - rows[1]).abs().sum(1))
"""
FILES = {
    "random": strategy_file("return Selection(ctx.rng.choice(ctx.candidates, ctx.budget, replace=False))"),
    "groups": strategy_file(
        "start = int(ctx.labeled_groups().sum(0).argmax())\nreturn Selection(ctx.candidates[start : start + ctx.budget])"
    ),
    "lossnet": strategy_file(LOSSNET, before=HIGHEST, members="needs_lossnet: ClassVar[bool] = True\nlayers: int = 2"),
    "committee": strategy_file(
        COMMITTEE,
        before=HIGHEST,
        members="committee_size = property(lambda self: 2)\ndropout = property(lambda self: 0.3)",
    ),
    "own module": strategy_file(OWN, before=HIGHEST, members="def auxiliary(self, objective):\n    return objective"),
}


def code_of(content: str) -> Code:
    return Code(Source(Path("strategy.py"), content.encode()), {})


@dataclass
class Asked:
    """What strategies' processes were asked, and which models they had to train."""

    questions: list[Question] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The program of the strategy's process runs in this one."""
    seen, train = Asked(), ModelCache._train

    def noted(cache: ModelCache, *arguments: Any) -> None:
        seen.trained.append(len(arguments[2][-1]))
        train(cache, *arguments)

    def run_module(_program: str, arguments: list[str], folder: Path, _limits: Any) -> str:
        assert arguments[0] == "pick"
        seen.questions.append(read_question(folder))
        with pytest.MonkeyPatch.context() as here:
            here.setattr(ModelCache, "_train", noted)
            rerun.pick(folder)
        return ""

    monkeypatch.setattr("lossbench.submissions.replay.run_module", run_module)
    return seen


def comparable(rounds: list[Round]) -> list[dict[str, Any]]:
    tables = [each.model_dump(exclude=TIMED) for each in rounds]
    for table in tables:
        table["metrics"].pop(OWN_METRIC, None)
    return tables


def both(task: Task, kind: str, name: str, track: Track, folder: Path) -> tuple[list[Round], list[Round], Strategy]:
    """The rounds of an ordinary run, those of a clean process, and the strategy."""
    protocol, code = tiny_protocol(kind), code_of(FILES[name])
    strategy = code.load()
    ordinary = Run(task, protocol, strategy, 3, track, "test", folder / "ordinary")
    stand = stand_in(Declaration.of(strategy))
    clean = Replay(task, protocol, stand, 3, track, "test", folder / "clean", code=code)
    return list(ordinary.rounds()), list(clean.rounds()), strategy


def is_equal(task: Task, kind: str, name: str, track: Track, folder: Path, asked: Asked) -> None:
    ordinary, clean, strategy = both(task, kind, name, track, folder)
    assert comparable(clean) == comparable(ordinary)
    assert [len(each.picked) for each in clean] == [6, 6, 0]
    assert clean[0].seconds.select > 0
    assert [each.number for each in asked.questions] == [0, 1]
    assert asked.trained == [], "the models are handed over"
    assert stand_in(Declaration.of(strategy)).model_dump(mode="json") == strategy.model_dump(mode="json")


@FAST_ON_ONE_KIND
def test_a_clean_rerun_equals_an_ordinary_run(task: Task, kind: str, tmp_path: Path, asked: Asked) -> None:
    is_equal(task, kind, "groups", "shared", tmp_path, asked)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "track"), [("groups", "native"), ("lossnet", "shared"), ("lossnet", "native")])
def test_a_clean_rerun_trains_what_is_declared(
    name: str, track: Track, task: Task, kind: str, tmp_path: Path, asked: Asked
) -> None:
    is_equal(task, kind, name, track, tmp_path, asked)


@pytest.mark.slow
@pytest.mark.parametrize("track", ["shared", "native"])
def test_a_clean_rerun_trains_a_committee(track: Track, task: Task, kind: str, tmp_path: Path, asked: Asked) -> None:
    is_equal(task, kind, "committee", track, tmp_path, asked)


@pytest.mark.slow
def test_a_strategys_own_module_is_trained_in_its_own_process(
    task: Task, kind: str, tmp_path: Path, asked: Asked
) -> None:
    ordinary, clean, strategy = both(task, kind, "own module", "shared", tmp_path)
    assert comparable(clean) == comparable(ordinary)
    assert OWN_METRIC in ordinary[0].metrics
    assert OWN_METRIC not in clean[0].metrics
    assert asked.trained == [12, 18]
    declaration = Declaration.of(strategy)
    assert can_be_replayed("shared", declaration)
    assert not can_be_replayed("native", declaration)


def labels(task: Task, ids: np.ndarray) -> list[bytes]:
    return [getattr(each, "boxes", getattr(each, "joints", each)).tobytes() for each in task.annotations[ids]]


def test_labels_that_nobody_asked_for_are_not_handed_over(task: Task, kind: str, tmp_path: Path) -> None:
    code, protocol, labeled = code_of(FILES["random"]), tiny_protocol(kind), np.array([5, 3, 9, 11])
    question = Question(code, protocol, 0, "shared", 0, without_labels(task, labeled), (labeled,), np.arange(20, 60))
    write_question(question, tmp_path)
    read = read_question(tmp_path).task
    assert labels(read, labeled) == labels(task, labeled)
    others = np.setdiff1d(np.arange(len(task.annotations)), labeled)
    assert set(labels(read, others)) == {labels(task, labeled[:1])[0]}
    hidden = {each for each in labels(task, others) if len(each) > 8} - set(labels(task, labeled))
    assert (kind == "classification") == (not hidden), "one number says nothing; boxes and joints are found in the file"
    content = (tmp_path / "question.pickle").read_bytes()
    assert not any(each in content for each in hidden)
    assert any(each in content for each in labels(task, labeled)) or kind == "classification"
