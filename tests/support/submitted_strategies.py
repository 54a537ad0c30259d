"""An honest strategy to be submitted, and its runs."""

from __future__ import annotations

from pathlib import Path

from leaderboard.schema.records import record_path
from lossbench.submissions.folder import STRATEGY

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


def wanted(protocols: Path, folder: Path, seed: int) -> dict[str, object]:
    """A run of the honest strategy."""
    (folder / STRATEGY).write_text(code(), encoding="utf-8")
    what = {"protocols": [str(protocols / "tiny.toml")], "strategy": str(folder / STRATEGY), "parameters": {}}
    return what | {"seed": seed, "track": "shared", "data": str(folder), "out": str(folder)}


def records_in(folder: Path) -> list[Path]:
    """Where its two runs are recorded."""
    return [record_path(folder / "records", "tiny", "shared", "last", seed) for seed in (0, 1)]
