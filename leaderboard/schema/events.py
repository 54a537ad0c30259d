"""Events: the dated changelog of the leaderboard, read from a TOML file in the repository."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Literal

from leaderboard.schema.records import Part, Text

FILE = Path(__file__).parents[1] / "changelog.toml"


class Event(Part):
    """A change of what the leaderboard shows."""

    date: dt.date
    kind: Literal["entry", "protocol", "removal", "method"]
    """A new strategy or its runs, a protocol's new version, a removal, a change of how numbers are computed."""
    text: Text
    """What was changed and why."""


def read_events(path: Path = FILE) -> tuple[Event, ...]:
    """Read the changelog, the latest event first; by default that of this repository."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["events"]
    return tuple(sorted((Event.model_validate(table) for table in tables), key=lambda event: event.date, reverse=True))
