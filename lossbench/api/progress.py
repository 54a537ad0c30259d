"""A progress bar for one run, where somebody looks."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from lossbench.running.jobs import Event, Job, NullSink, Sink
from lossbench.running.progress import SweepProgress


class NotebookProgress:
    """A sink of events that keeps one line of a notebook's output up to date; it needs no widgets."""

    def __init__(self, job: Job) -> None:
        from IPython.display import display  # pyright: ignore[reportMissingImports] - notebooks have it

        self._job = job
        self._done, self._preparing = 0, ""
        self._line = display(self, display_id=True)

    def put(self, event: Event, /) -> None:
        """Show how many rounds are done, and what is prepared."""
        self._done = event.rounds
        self._preparing = "" if event.state in {"running", "done"} else f" ({event.state})"
        self._line.update(self)

    def _repr_html_(self) -> str:
        job = self._job
        title = html.escape(f"{job.protocol.name}, {job.name}, {job.track}, seed {job.seed}")
        bar = f'<progress value="{self._done}" max="{job.rounds}"></progress>'
        return f"{bar} {title}: {self._done} of {job.rounds} rounds{html.escape(self._preparing)}"

    def __repr__(self) -> str:
        return f"{self._job.name}: {self._done} of {self._job.rounds} rounds{self._preparing}"


@contextmanager
def showing(job: Job, wanted: bool | None) -> Iterator[Sink]:
    """Where the events of a run go.

    Args:
        job: the run.
        wanted: whether to show them; where it is None, in a notebook and on a terminal.
    """
    console = Console()
    if wanted is False or (wanted is None and not console.is_jupyter and not console.is_terminal):
        yield NullSink()
    elif console.is_jupyter:
        yield NotebookProgress(job)
    else:
        with SweepProgress([job], console) as progress:
            yield progress
