"""Figures from papers and independent runs: drawn beside ours, never ranked with them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from leaderboard.schema.records import Finite, Part, Text

FILE = Path(__file__).parents[1] / "published.toml"


class Published(Part):
    """The curves of one source on one protocol."""

    protocol: str = ""
    """The task protocol that repeats the experiment; none of ours where it is empty."""
    tasks: tuple[str, ...]
    """Those on whose pages it is shown."""
    source: Text
    certainty: Literal["plot", "raw", "quoted"]
    labeled: tuple[Annotated[int, Field(ge=1)], ...]
    scores: dict[str, tuple[Finite, ...]]
    """By strategy, one a label count."""

    @model_validator(mode="after")
    def _even(self) -> Published:
        for strategy, scores in self.scores.items():
            if len(scores) != len(self.labeled):
                msg = f"{self.source}, {strategy}: {len(scores)} scores for {len(self.labeled)} label counts"
                raise ValueError(msg)
        return self

    @property
    def title(self) -> str:
        """Where it is from, and how sure its figures are."""
        read = {"plot": "read off the plot, within .003", "raw": "raw results", "quoted": "quoted by a third party"}
        return f"{self.source} ({read[self.certainty]})"


def read_published(path: Path = FILE) -> tuple[Published, ...]:
    """All that is kept."""
    return tuple(Published.model_validate(each) for each in tomllib.loads(path.read_text(encoding="utf-8"))["curves"])
