"""How well models fit their labels, and how hard the picks are for models that have not seen them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Result
from tiny_tasks import FAST_ON_ONE_KIND

from leaderboard.schema.records import read_record
from lossbench.config import Protocol
from lossbench.diagnosis.difficulty import Judges, difficulties, difficulty_table, effective_number
from lossbench.diagnosis.examination import runs_of
from lossbench.paths import Paths
from lossbench.running.jobs import Job, NullSink
from lossbench.running.sweep import run_job
from lossbench.submissions.conformance import tiny_protocol

Made = tuple[list[Path], Paths]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two runs of a tiny classification that is trained long enough to learn something."""
    paths = Paths(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out"))
    protocol = tiny_protocol("classification", epochs=6)
    jobs = [Job(protocol, name, 0, "shared", "validation") for name in ("random", "true-loss")]
    return [run_job(number, job, paths, NullSink()) for number, job in enumerate(jobs)], paths


def test_the_effective_number_of_groups_by_hand() -> None:
    assert effective_number((5, 0, 5, 5)) == pytest.approx(3)
    assert effective_number((7, 0)) == pytest.approx(1)
    assert effective_number((3, 1)) == pytest.approx(4 / 27**0.25)  # 0.75^-0.75 0.25^-0.25
    assert np.isnan(effective_number((0, 0)))


@pytest.mark.slow
def test_two_halves_judge_each_other(learned: Made) -> None:
    files, paths = learned
    record, run = next(runs_of([read_record(files[0])], paths))
    judges = Judges.of(run)
    first, second = judges.halves
    assert abs(len(first) - len(second)) <= 1
    assert np.array_equal(np.union1d(first, second), run.pool.eligible)
    right = round(judges.score(first) * len(first)) + round(judges.score(second) * len(second))
    assert judges.pool_score == pytest.approx(right / len(run.pool.eligible))
    assert judges.score(first[:1]) in {0.0, 1.0}
    rows = list(difficulties(record, run, judges))
    assert [row.labeled for row in rows] == [12, 18, 24]
    assert [np.isnan(row.picks) for row in rows] == [False, False, True]
    assert rows[0].picks == judges.score(np.array(record.rounds[0].picked))
    assert rows[0].groups == effective_number(record.rounds[0].group_counts)


@pytest.mark.slow
def test_a_model_fits_the_labels_that_it_was_given(learned: Made) -> None:
    files, paths = learned
    record, run = next(runs_of([read_record(files[0])], paths))
    rows = list(difficulties(record, run, Judges.of(run)))
    held_out = [one.metrics["accuracy"] for one in record.rounds]
    assert np.mean([row.fit for row in rows]) > np.mean(held_out)


@pytest.mark.slow
def test_the_command_prints_both(learned: Made, lossbench_cli: Callable[..., Result]) -> None:
    files, paths = learned
    result = lossbench_cli("diagnose", *files, "--difficulty", "--data", paths.data, "--out", paths.out)
    assert result.code == 0, result.errors
    assert "difficulty of the picks" in result.output
    assert "groups in" in result.output


@FAST_ON_ONE_KIND
def test_every_kind_has_it(kind: str, tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path)
    record = read_record(run_job(0, Job(tiny_protocol(kind), "random", 0, "shared", "validation"), paths, NullSink()))
    ((_, run),) = runs_of([record], paths)
    judges = Judges.of(run)
    assert all(0 <= row.fit <= 1 for row in difficulties(record, run, judges))
    assert 0 <= judges.pool_score <= 1


@pytest.mark.slow
def test_each_protocol_has_judges_of_its_own_pool(learned: Made) -> None:
    """Also where the tasks are the same, and images are left out by `stress`."""
    files, paths = learned
    record = read_record(files[0])
    table = tiny_protocol("classification", epochs=6).model_dump(mode="json", exclude_none=True)
    scarce = Protocol.model_validate(table | {"name": "scarce", "stress": {"imbalance": 2.0}})
    other = read_record(run_job(0, Job(scarce, "random", 0, "shared", "validation"), paths, NullSink()))
    judged = [Judges.of(run) for _, run in runs_of([other, record], paths)]
    assert len(judged[0].halves[0]) < len(judged[1].halves[0])
    with pytest.raises(ValueError, match="in neither half"):
        judged[0].score(np.concatenate(judged[1].halves))
    both, alone = (difficulty_table(each, paths) for each in ([other, record], [record]))
    wanted = [list(column.cells) for column in alone.columns]
    assert [list(column.cells)[-len(record.rounds) :] for column in both.columns] == wanted
