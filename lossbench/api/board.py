"""The leaderboard as data frames, charts and a page."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from leaderboard.schema import records
from leaderboard.schema.records import RecordError
from leaderboard.scoring import rows
from leaderboard.scoring.board import Board
from leaderboard.scoring.sections import Section
from lossbench.api.records import Records, html_table
from lossbench.files import shown
from lossbench.paths import shipped
from lossbench.words import plural

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

SHOWN = ("rank", "strategy", "seeds", "area", "last", "area_minus_random", "ranking_accuracy")
"""Columns of the short tables."""


class Leaderboard:
    """Records side by side: the numbers, charts and page of `lossbench leaderboard`.

    Only complete runs on test images are ranked, apart by protocol, version and track.
    """

    def __init__(self, given: Iterable[records.Record]) -> None:
        """Rank records, such as those of `lossbench.load_records`.

        Raises:
            RecordError: `given` is a path, or holds something else than records.
        """
        if isinstance(given, str | Path):
            msg = f"a Leaderboard is made of records; give lossbench.load_records({str(given)!r})"
            raise RecordError(msg)
        kept = given if isinstance(given, Records) else tuple(given)
        if wrong := [each for each in kept if not isinstance(each, records.Record)]:
            msg = f"a Leaderboard is made of records, such as lossbench.load_records gives; given: {shown(wrong[0])}"
            raise RecordError(msg)
        self.records = kept if isinstance(kept, Records) else Records(kept)

    @cached_property
    def _sections(self) -> list[Section]:
        return Board(self.records).sections

    def standings(self, protocol: str | None = None, track: str = "shared") -> pd.DataFrame:
        """A row a strategy, the best first, with the columns of `standings.csv` of `lossbench leaderboard export`.

        Args:
            protocol: its name; all that have runs where it is not given.
            track: `shared` or `native`.

        Raises:
            RecordError: there is no complete test run.
        """
        import pandas as pd

        return pd.DataFrame(rows.standings(self._chosen(protocol, track)))

    def curves(self, protocol: str | None = None, track: str = "shared") -> pd.DataFrame:
        """A row a strategy and label count: means over the seeds and their 95 % intervals. Arguments as of `standings`."""
        import pandas as pd

        return pd.DataFrame(rows.curves(self._chosen(protocol, track)))

    def plot(self, protocol: str, track: str = "shared") -> alt.LayerChart:
        """The learning curves on one protocol, in its newest version that has runs; of many strategies a choice."""
        from leaderboard.charts.pictures import section_chart

        return section_chart(max(self._chosen(protocol, track), key=lambda section: section.key.version))

    def build(self, folder: str | Path) -> Path:
        """Build the page into a folder and give its `index.html`, which opens from disk.

        Raises:
            FileExistsError: the folder holds something else than an earlier page.
        """
        from leaderboard.schema.published import read_published
        from leaderboard.site.page import build_page
        from lossbench.publishing.boards import about_strategies, descriptions, drawing_code, planned_comparisons
        from lossbench.publishing.sheets import examples, sheet

        planned, published = planned_comparisons(shipped("configs/sweeps")), read_published()
        board = Board(
            self.records,
            about_strategies(),
            planned,
            published,
            damages=self.records.damages,
            sheet=sheet,
            examples=examples,
            descriptions=descriptions(),
            code=drawing_code(),
        )
        return build_page(board, Path(folder))

    def _chosen(self, protocol: str | None, track: str) -> list[Section]:
        chosen = [
            section
            for section in self._sections
            if section.key.track == track and protocol in {None, section.key.protocol}
        ]
        if not chosen:
            there = ", ".join(f"{section.key.protocol} ({section.key.track})" for section in self._sections) or "none"
            msg = (
                f"no complete test run of {protocol or 'any protocol'} on the {track} track; there are runs of: {there}"
            )
            raise RecordError(msg)
        return chosen

    def __repr__(self) -> str:
        places = ", ".join(f"{section.key.protocol} ({section.key.track})" for section in self._sections)
        return f"<Leaderboard of {plural(len(self.records), 'record')}: {places or 'no complete test run'}>"

    def _repr_html_(self) -> str:
        import pandas as pd

        tables = [
            html_table(section.title, pd.DataFrame(rows.standings([section])).loc[:, list(SHOWN)])
            for section in self._sections
        ]
        return "\n".join(tables) or "<p>No complete test run.</p>"
