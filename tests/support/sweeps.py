"""Sweeps run in this process: their events, their records, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_configs import written

from leaderboard.schema.records import read_record
from lossbench.config_files import read_sweep
from lossbench.paths import Paths
from lossbench.running.executors.base import NEVER, Deadline
from lossbench.running.executors.local import Local
from lossbench.running.jobs import Event, Job, jobs
from lossbench.running.sweep import run_sweep


class Heard:
    """A sink that keeps its events; `then` is called with each."""

    def __init__(self, then: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self._then = then

    @property
    def rounds(self) -> list[tuple[int, int, str]]:
        """The run, the number of rounds and the state of each event that is no report of a preparation."""
        return [(each.job, each.rounds, each.state) for each in self.events if each.state in {"running", "done"}]

    def put(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)
        if self._then:
            self._then(event)


def planned(sweep: Path) -> list[Job]:
    """The runs of a sweep, in their order."""
    return jobs(*read_sweep(sweep))


def run(sweep: Path, out: Path, workers: int = 1, sink: Heard | None = None, deadline: Deadline = NEVER) -> list[Path]:
    """The complete records of a sweep, made in this process or by workers."""
    return run_sweep(planned(sweep), Paths(sweep.parent, out), Local(workers), sink or Heard(), deadline)


def timeless(path: Path) -> dict[str, Any]:
    """A record without what the clock and the operating system say, and without the state of the working tree."""
    clock = {"__all__": {"seconds", "peak_memory_mebibytes"}}
    record = read_record(path).model_dump(exclude={"commit": True, "rounds": clock})
    assert len(record["rounds"]) == record["planned_rounds"]
    return record


def leftovers(out: Path) -> list[str]:
    """Files that should not outlive a run."""
    found = [*out.glob("**/*.part"), *out.glob("**/*.unfinished"), *out.glob("**/*.lock")]
    return [str(path.relative_to(out)) for path in found]


SHORT = '''
from typing import ClassVar
from strategies import Context, Selection, Strategy


class Short(Strategy):
    """Gives up in the second round."""

    name: ClassVar[str] = "short"
    paper: ClassVar[str] = "none"

    def select(self, ctx: Context) -> Selection:
        return Selection(ctx.candidates[: ctx.budget - (len(ctx.labeled) > 12)])
'''


def with_short(folder: Path) -> Path:
    """A sweep whose second run fails in its second round."""
    file = folder / "short.py"
    file.write_text(SHORT, encoding="utf-8")
    return written(folder, sweep=f'protocols = ["tiny"]\nstrategies = ["random", "{file}", "entropy"]\nseeds = [0]\n')
