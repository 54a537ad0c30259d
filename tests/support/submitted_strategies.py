"""An honest strategy to be submitted, and its runs."""

from __future__ import annotations

from pathlib import Path

from lossbench.config_files import read_protocol
from lossbench.paths import Paths
from lossbench.running.executors.local import Local
from lossbench.running.jobs import Job, NullSink
from lossbench.running.sweep import run_sweep
from lossbench.submissions.folder import STRATEGY
from tasks.outside.files import Source

CODE = """
from typing import ClassVar
from strategies.base import Context, Selection, Strategy

class Last(Strategy):
    '''Picks the last candidates.'''
    name: ClassVar[str] = "last"
    paper: ClassVar[str] = "none"

    def select(self, ctx: Context) -> Selection:
        {harm}
        return Selection(ctx.candidates[-ctx.budget:])
"""


def code(harm: str = "pass") -> str:
    """The strategy's file, with a line put before its picks."""
    return CODE.replace("{harm}", harm)


def honest_runs(protocols: Path, folder: Path, workers: int) -> list[Path]:
    """Records of two runs of the honest strategy."""
    source, tiny = Source(Path(STRATEGY), code().encode()), read_protocol(protocols / "tiny.toml")
    jobs = [Job(tiny, source, seed, "shared", "test") for seed in (0, 1)]
    return run_sweep(jobs, Paths(folder, folder), Local(workers), NullSink())
