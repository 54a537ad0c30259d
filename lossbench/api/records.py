"""Records that show themselves in a notebook."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, overload

from leaderboard.schema import records
from leaderboard.schema.records import RecordError
from lossbench.words import plural

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


class Record(records.Record):
    """One run, as its JSON file has it, with a table and a chart for notebooks."""

    @classmethod
    def of(cls, record: records.Record) -> Self:
        """A record of `leaderboard.schema`, with the tables and charts of this class."""
        return cls.model_validate(record, from_attributes=True)

    @property
    def title(self) -> str:
        """One line that names the run."""
        split = "" if self.split == "test" else f", {self.split} split"
        return f"{self.strategy} on {self.protocol} (version {self.version}), {self.track}, seed {self.seed}{split}"

    def table(self) -> pd.DataFrame:
        """A row a round: labels, score, ranking accuracy of lossnet, seconds of training and of selection."""
        import pandas as pd

        from leaderboard.scoring.entries import ranking_accuracy

        rows = [
            {
                "labeled": one.labeled,
                self.metric.name: score,
                "ranking_accuracy": ranking_accuracy(one),
                "fit_seconds": one.seconds.fit,
                "select_seconds": one.seconds.select,
            }
            for one, score in zip(self.rounds, self.score, strict=True)
        ]
        return pd.DataFrame(rows)

    def plot(self) -> alt.Chart:
        """The score by labels."""
        import altair as alt

        from leaderboard.charts.curves import run_chart

        return alt.Chart.from_dict(run_chart(self) | {"title": self.title})

    def _repr_html_(self) -> str:
        unfinished = "" if self.complete else f", {len(self.rounds)} of {self.planned_rounds} rounds"
        return html_table(self.title + unfinished, self.table())


class Records(Sequence[Record]):
    """Records of a folder, in the order of their paths."""

    def __init__(self, given: Iterable[records.Record], damages: Iterable[str] = ()) -> None:
        """Keep records, and one line for each file that was left out: where it is, and what is wrong."""
        self._records = tuple(record if isinstance(record, Record) else Record.of(record) for record in given)
        self.damages = tuple(damages)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> Record | Records:
        return Records(self._records[place]) if isinstance(place, slice) else self._records[place]

    def __repr__(self) -> str:
        return f"<{self._summary}>"

    @property
    def _summary(self) -> str:
        left_out = f", {plural(len(self.damages), 'file')} left out" if self.damages else ""
        return plural(len(self), "record") + left_out

    def table(self) -> pd.DataFrame:
        """A row a record: what ran, how many rounds are done, and the last score."""
        import pandas as pd

        rows = [
            {
                "protocol": record.protocol,
                "version": record.version,
                "track": record.track,
                "strategy": record.strategy,
                "seed": record.seed,
                "split": record.split,
                "rounds": f"{len(record.rounds)} of {record.planned_rounds}",
                "metric": record.metric.name,
                "last_score": record.score[-1] if record.rounds else None,
            }
            for record in self
        ]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return html_table(self._summary, self.table())


def load_records(folder: str | Path) -> Records:
    """All sound records below a folder; a warning says how many files are left out.

    Args:
        folder: such as `runs/records`.

    Raises:
        RecordError: there is no such folder.
    """
    from lossbench.auditing.records import checked_survey

    if not Path(folder).is_dir():
        msg = f"no folder of records {folder}; lossbench.run writes them into OUT/records"
        raise RecordError(msg)
    found = checked_survey(Path(folder))
    if found.damages:
        text = f"{plural(len(found.damages), 'file')} left out, listed in `damages` of the records: {found.damages[0]}"
        warnings.warn(text, stacklevel=2)
    return Records(found.records, found.damages)


def html_table(title: str, table: pd.DataFrame) -> str:
    """A table under a title, for notebooks."""
    shown = table.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format, max_rows=60)
    return f"<p><b>{html.escape(title)}</b></p>\n{shown}"
