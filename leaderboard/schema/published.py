"""Published learning curves, from papers and independent runs: drawn beside our curves and never ranked."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from leaderboard.schema.records import Finite, Part, Text

FILE = Path(__file__).parents[1] / "published.toml"


class Published(Part):
    """The learning curves of one source for one experiment."""

    protocol: str = ""
    """The name of the protocol that repeats the experiment; empty if there is none."""
    tasks: tuple[str, ...]
    """The names of the protocols whose pages show the curves."""
    source: Text
    certainty: Literal["plot", "raw", "quoted"]
    """Where the figures come from: read off a plot, raw results of the authors, or quoted by a third party."""
    labeled: tuple[Annotated[int, Field(ge=1)], ...]
    """The label counts."""
    scores: dict[str, tuple[Finite, ...]]
    """For each strategy, a score per label count, in the unit of the protocol's metric."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Published:
        for strategy, scores in self.scores.items():
            if len(scores) != len(self.labeled):
                msg = f"{self.source}, {strategy}: {len(scores)} scores for {len(self.labeled)} label counts"
                raise ValueError(msg)
        return self

    @property
    def title(self) -> str:
        """The source and how its figures were obtained."""
        origins = {"plot": "read off the plot, within .003", "raw": "raw results", "quoted": "quoted by a third party"}
        return f"{self.source} ({origins[self.certainty]})"


def read_published(path: Path = FILE) -> tuple[Published, ...]:
    """Read the published curves of a TOML file; by default, those of this repository."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["curves"]
    return tuple(Published.model_validate(table) for table in tables)
