"""Sweeps that end at a deadline: after a whole round, and a later start goes on to the same records."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from command_line import Result, the_line
from rounding import alike
from sample_configs import written
from sweeps import Heard, leftovers, planned, run, timeless

import lossbench.running.sweep as sweep_module
from leaderboard.schema.records import read_record
from lossbench.locks import locked
from lossbench.running.executors import base
from lossbench.running.executors.base import NEVER, Deadline
from lossbench.running.jobs import Event


def test_a_run_ends_after_the_round_in_which_the_deadline_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    first, second = (job.path(out) for job in planned(sweep))

    def pass_it(event: Event) -> None:
        if event.rounds == 2:
            monkeypatch.setattr(base.time, "monotonic", lambda: math.inf)

    sink = Heard(pass_it)
    assert run(sweep, out, sink=sink, deadline=Deadline.after(3600)) == []
    monkeypatch.undo()
    assert sink.rounds == [(0, 1, "running"), (0, 2, "running")]
    assert len(read_record(first).rounds) == 2
    assert not second.exists()
    assert leftovers(out) == []

    again = Heard()
    assert run(sweep, out, sink=again) == [first, second]
    assert again.rounds[0] == (0, 3, "running"), "what is recorded is not made again"
    whole = run(sweep, tmp_path / "whole")
    assert alike([timeless(path) for path in (first, second)], [timeless(path) for path in whole])


def test_no_round_begins_when_the_deadline_passes_while_the_task_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = sweep_module._task

    def slowly(*given: Any) -> Any:
        task = prepare(*given)
        monkeypatch.setattr(base.time, "monotonic", lambda: math.inf)
        return task

    monkeypatch.setattr(sweep_module, "_task", slowly)
    sink = Heard()
    assert run(written(tmp_path), tmp_path / "out", sink=sink, deadline=Deadline.after(3600)) == []
    assert sink.rounds == []
    assert leftovers(tmp_path / "out") == []


def test_complete_runs_are_told_of_though_the_deadline_has_passed(tmp_path: Path) -> None:
    sweep, out, sink = written(tmp_path), tmp_path / "out", Heard()
    made = run(sweep, out)
    assert run(sweep, out, sink=sink, deadline=Deadline.after(0)) == made
    assert [(each.job, each.state) for each in sink.events] == [(0, "done"), (1, "done")]


def test_a_run_that_another_process_makes_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    first, second = (job.path(out) for job in planned(sweep))
    first.parent.mkdir(parents=True)
    with ThreadPoolExecutor(1) as other, locked(first):  # in a thread: a lock may be held twice in one
        began = time.monotonic()
        assert other.submit(run, sweep, out, deadline=Deadline.after(0.5)).result() == []
        assert time.monotonic() - began < 20
    assert not first.exists()
    assert not second.exists()


@pytest.mark.slow  # two workers import torch
def test_workers_begin_nothing_after_the_deadline(tmp_path: Path) -> None:
    assert run(written(tmp_path), tmp_path / "out", workers=2, deadline=Deadline.after(0)) == []
    assert not list(tmp_path.glob("out/records/**/*.json"))


def test_the_command_says_how_far_it_is_and_how_to_go_on(lossbench_cli: Callable[..., Result], tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    words = ("run", sweep, "--out", out, "--workers", "1", "--minutes")
    stopped = lossbench_cli(*words, "0")
    assert stopped.code == 0
    again = f"lossbench run {sweep} --out {out} --workers 1 --minutes 0"
    assert stopped.output.splitlines()[1:] == [
        f"Stopped after 0 minutes: 0 of 2 runs and 0 of 6 rounds are done. To go on: {again}"
    ]
    assert not (out / "page").exists()
    made = lossbench_cli(*words, "60")
    assert (made.code, "Stopped" in made.output) == (0, False)
    assert (out / "page/index.html").exists()


@pytest.mark.parametrize(
    ("minutes", "wanted"),
    [
        ("-1", "'--minutes': Input should be greater than or equal to 0"),
        ("nan", "'--minutes': Input should be greater than or equal to 0"),
        ("inf", "'--minutes': inf is not a finite number"),
        ("soon", "'--minutes': Input should be a valid number"),
    ],
)
def test_minutes_that_are_none_are_one_line(
    minutes: str, wanted: str, lossbench_cli: Callable[..., Result], tmp_path: Path
) -> None:
    line = the_line(lossbench_cli("run", written(tmp_path), "--out", tmp_path / "out", "--minutes", minutes))
    assert wanted in line


def test_a_deadline_passes() -> None:
    assert not NEVER.passed
    assert not Deadline.after(60).passed
    assert 50 < Deadline.after(60).seconds_left <= 60
    assert Deadline.after(0).passed
