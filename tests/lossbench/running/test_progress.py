"""What is said of a sweep where there is no terminal."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from lossbench.running import progress
from lossbench.running.jobs import Event, Job
from lossbench.running.progress import SweepProgress
from lossbench.submissions.conformance import tiny_protocol


@pytest.fixture
def job() -> Job:
    return Job(tiny_protocol("classification"), "random", 3, "shared", "test")


def test_finished_runs_and_long_preparations_are_lines(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, 1, 31, 31, 45, 62, 62, 70, 95, 95, 101])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    written = Console(file=StringIO(), width=40)
    with SweepProgress([job], written) as shown:
        for share in (1, 40, 60, 90):
            shown.put(Event(0, 0, f"decoding: {share} %"))
        shown.put(Event(0, 1, "running"))
        shown.put(Event(0, 2, "running"))
        shown.put(Event(0, job.rounds, "done"))
    name = "tiny-classification random shared seed 3"
    assert written.file.getvalue().splitlines() == [
        f"{name}: decoding: 40 %",
        f"{name}: decoding: 90 %",
        f"{name}: 2 of {job.rounds} rounds done",
        f"{name}: {job.rounds} rounds done; 1 of 1 runs",
    ]


@pytest.mark.parametrize("width", [80, 140])
def test_a_narrow_terminal_shows_words_whole_and_no_bars(job: Job, width: int) -> None:
    terminal = Console(file=StringIO(), force_terminal=True, width=width)
    with SweepProgress([job], terminal) as shown:
        shown.put(Event(0, 1, "frozen features: 86 %, 234 images/s"))
    text = terminal.file.getvalue()
    assert ("\u2501" in text) == (width == 140)
    assert "234 images/s" in " ".join(text.split())
