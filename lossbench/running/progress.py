"""What runs, rounds done, time left: live on a terminal; elsewhere a line per finished run, and where half a minute would be silent."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from lossbench.running.jobs import Event, Job

NARROW = 100
"""Columns of a terminal that has no room for bars beside the words."""
SILENT_SECONDS = 30.0
"""Elsewhere it is said how far a run is after so long a time without a line."""


class SweepProgress:
    """A sink of events that shows them."""

    def __init__(self, planned: list[Job], console: Console) -> None:
        self._jobs = planned
        self._done = [0] * len(planned)
        self._finished = 0
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", table_column=Column()),  # may take several lines
            *(() if console.width < NARROW else (BarColumn(),)),
            MofNCompleteColumn(),
            TextColumn("rounds"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        total = sum(job.rounds for job in planned)
        self._all = self._bars.add_task(f"{len(planned)} runs", total=total)
        self._lines = {}
        self._said = time.monotonic()

    def put(self, event: Event) -> None:
        """Show that a run has gone on."""
        job = self._jobs[event.job]
        rounds = job.rounds
        new = event.rounds - self._done[event.job]
        self._done[event.job] = event.rounds
        self._bars.advance(self._all, new)
        if event.job not in self._lines:
            self._lines[event.job] = self._bars.add_task(job.title, total=rounds)
        preparing = "" if event.state in {"running", "done"} else f": {event.state}"
        self._bars.update(self._lines[event.job], completed=event.rounds, description=f"{job.title}{preparing}")
        if event.state == "done":
            self._bars.remove_task(self._lines.pop(event.job))
            self._finished += 1
            self._say(f"{job.title}: {rounds} rounds done; {self._finished} of {len(self._jobs)} runs")
        elif time.monotonic() - self._said >= SILENT_SECONDS:
            self._say(f"{job.title}{preparing or f': {event.rounds} of {rounds} rounds done'}")

    def _say(self, line: str) -> None:
        """Print a line where there are no bars."""
        if not self._console.is_terminal:
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)
            self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
